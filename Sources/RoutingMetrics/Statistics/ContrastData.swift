import Foundation

/// One table's rows, and the contrasts under any labels.
///
/// Rows are W numbers wide: E columns, the size, and nothing up to a multiple of four, so that four numbers are computed at once. This runs once
/// per permutation and table; every number is that of the plain formula, operation by operation.
struct ContrastData: Sendable {
    let E: Int
    let G: Int
    let targets: [Int]
    private let W: Int
    /// [rows, W]
    private let values: [Double]
    /// Rows of each unit with several, and rows that are a unit by themselves.
    private let several: [[Int]]
    private let single: [Int]
    /// Σ m² and Σ m⁴ over the units with several rows.
    private let squares: (second: Double, fourth: Double)
    /// Sums of all rows, [W].
    private let total: [Double]
    /// Variance of one independent draw, [E], and its sum.
    private let noise: [Double]
    private let allNoise: Double

    /// - Parameter values: [rows, E + 1]
    init(E: Int, G: Int, targets: [Int], unit: [Int], values given: [Double], noise givenNoise: [Double]?) {
        self.E = E
        self.G = G
        self.targets = targets
        let C = E + 1
        let W = (C + 3) / 4 * 4
        self.W = W
        var values = [Double](repeating: 0, count: unit.count * W)
        for row in unit.indices { for column in 0..<C { values[row * W + column] = given[row * C + column] } }
        self.values = values
        var rows: [Int: [Int]] = [:]
        for (row, unit) in unit.enumerated() { rows[unit, default: []].append(row) }
        several = rows.sorted { $0.key < $1.key }.map(\.value).filter { $0.count > 1 }
        single = rows.values.filter { $0.count == 1 }.map { $0[0] }.sorted()
        squares = several.reduce(into: (0.0, 0.0)) { sums, unit in
            let size = unit.reduce(0) { $0 + values[$1 * W + E] }
            sums.0 += size * size
            sums.1 += size * size * size * size
        }
        let total = (0..<W).map { column in unit.indices.reduce(0) { $0 + values[$1 * W + column] } }
        self.total = total
        noise = givenNoise ?? (0..<E).map { total[E] > 0 ? total[$0] / total[E] * (1 - total[$0] / total[E]) : 0 }
        allNoise = noise.reduce(0, +)
    }

    /// z of every target and column.
    func statistics(labels: [Int], into z: UnsafeMutableBufferPointer<Double>) {
        contrasts(labels: labels) { t, e, found in z[t * E + e] = found.z }
    }

    func cells(labels: [Int]) -> [ContrastTest.Cell] {
        var result = [ContrastTest.Cell](repeating: .init(), count: targets.count * E)
        contrasts(labels: labels) { t, e, found in result[t * E + e] = found.cell }
        return result
    }

    /// A row of a scratch table.
    private typealias Row = UnsafeMutablePointer<Double>

    /// What a permutation is computed in, all zero: [G, W] each.
    private struct Scratch {
        /// Sums per label of all rows, and of those that are units by themselves.
        let sums, alone: Row
        /// Variance of those, and their sums' shares.
        let aloneVariance, aloneShares: Row
        /// Of units with several rows: variances of a label's share, of its rest's, and of their difference, [3, G, W].
        let crossed: Row
        /// Of labels and of their rests.
        let shares, restShares: Row
        /// Sums per label of one unit, and of the unit, [W].
        let parts, whole: Row
        /// Of one label's rest, [W].
        let restVariance, spread: Row

        static func size(_ G: Int, _ W: Int) -> Int { 10 * G * W + 3 * W }

        init(_ start: Row, _ G: Int, _ W: Int) {
            let table = { start + $0 * G * W }
            (sums, alone, aloneVariance, aloneShares) = (table(0), table(1), table(2), table(3))
            (crossed, shares, restShares, parts) = (table(4), table(7), table(8), table(9))
            whole = table(10)
            restVariance = whole + W
            spread = restVariance + W
        }
    }

    /// - Parameter body: gets the contrasts of the targets that can be judged.
    private func contrasts(labels: [Int], _ body: (Int, Int, Contrast) -> Void) {
        withUnsafeTemporaryAllocation(of: Double.self, capacity: Scratch.size(G, W)) { buffer in
            buffer.initialize(repeating: 0)
            guard let start = buffer.baseAddress else { return }
            contrasts(labels, Scratch(start, G, W), body)
        }
    }

    private func contrasts(_ labels: [Int], _ scratch: Scratch, _ body: (Int, Int, Contrast) -> Void) {
        let (sums, alone, crossed) = (scratch.sums, scratch.alone, scratch.crossed)
        var units = [Double](repeating: 0, count: G)
        var second = [Double](repeating: 0, count: G)
        var fourth = [Double](repeating: 0, count: G)
        let size = total[E]
        let crossedFreedom = degreesOfFreedom(squares: squares.second, fourthPowers: squares.fourth)
        values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for (row, label) in labels.enumerated() { add(values + row * W, to: sums + label * W) }
            for row in single {
                let label = labels[row]
                let size = values[row * W + E]
                add(values + row * W, to: alone + label * W)
                units[label] += 1
                second[label] += size * size
                fourth[label] += size * size * size * size
            }
        }
        let freedom = (0..<G).map { degreesOfFreedom(squares: second[$0], fourthPowers: fourth[$0]) }
        if !single.isEmpty { addAlone(labels, units, freedom, scratch) }
        if !several.isEmpty {
            addCrossed(labels, scratch)
            let allAlone = (0..<G).reduce(0) { $0 + alone[$1 * W + E] }
            for g in targets {
                let own = sums[g * W + E] - alone[g * W + E]
                let rest = size - sums[g * W + E] - (allAlone - alone[g * W + E])
                guard own > 0, rest > 0 else { continue }
                for (kind, weight) in [own, rest, 1 / (1 / own + 1 / rest)].enumerated() {
                    let row = crossed + (kind * G + g) * W
                    var sum = 0.0
                    for e in 0..<E { sum += row[e] }
                    let expected = designEffect(sum * weight * weight, weight) / weight
                    for e in 0..<E {
                        row[e] = Self.moderated(
                            row[e], expected * noise[e], crossedFreedom,
                            isRare: sums[g * W + e] * size < total[e] * sums[g * W + E])
                    }
                }
            }
        }
        for (t, g) in targets.enumerated() {
            let own = sums[g * W + E]
            let rest = size - own
            // A label with one unit has no variance.
            guard own > 0, rest > 0,
                !several.isEmpty || units[g] > 1 && units.indices.contains(where: { $0 != g && units[$0] > 1 })
            else { continue }
            sumRest(g, own: own, rest: rest, freedom, scratch)
            for e in 0..<E {
                let place = g * W + e
                body(
                    t, e,
                    Contrast(
                        own: own, rest: rest, share: sums[place] / own, elsewhere: (total[e] - sums[place]) / rest,
                        inside: scratch.aloneVariance[place] / (own * own), outside: scratch.restVariance[e],
                        spread: scratch.spread[e], freedom: freedom[g], ownCrossed: crossed[place],
                        restCrossed: crossed[G * W + place], between: crossed[2 * G * W + place],
                        crossedFreedom: crossedFreedom))
            }
        }
    }

    /// Variances of each label's units of one row.
    private func addAlone(_ labels: [Int], _ units: [Double], _ freedom: [Double], _ scratch: Scratch) {
        let (alone, shares, variances) = (scratch.alone, scratch.aloneShares, scratch.aloneVariance)
        for label in 0..<G where alone[label * W + E] > 0 {
            for place in label * W..<label * W + E { shares[place] = alone[place] / alone[label * W + E] }
        }
        values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for row in single {
                let start = labels[row] * W
                let (source, size, all) = (values + row * W, values[row * W + E], alone[start + E])
                guard all > size else { continue }
                let weight = 1 / (1 - size / all)
                for e in stride(from: 0, to: W, by: 4) {
                    let expected: Lanes = Self.lanes(shares + start + e) * size
                    let residual: Lanes = weight * (Self.lanes(source + e) - expected)
                    Self.set(variances + start + e, Self.lanes(variances + start + e) + residual * residual)
                }
            }
        }
        for label in 0..<G where units[label] > 1 {
            let scale = (units[label] - 1) / units[label]
            let size = alone[label * W + E]
            var sum = 0.0
            for place in label * W..<label * W + E {
                variances[place] *= scale
                sum += variances[place]
            }
            let expected = designEffect(sum, size) * size
            for e in 0..<E {
                let place = label * W + e
                variances[place] = Self.moderated(
                    variances[place], expected * noise[e], freedom[label],
                    isRare: alone[place] * total[E] < total[e] * size)
            }
        }
    }

    /// Variances of a label's rest, of units of one row, and what Satterthwaite's degrees of freedom are divided by.
    private func sumRest(_ g: Int, own: Double, rest: Double, _ freedom: [Double], _ scratch: Scratch) {
        let (variances, sum, spread) = (scratch.aloneVariance, scratch.restVariance, scratch.spread)
        // Without such units all of them are zero.
        guard !single.isEmpty else { return }
        for e in stride(from: 0, to: W, by: 4) {
            let inside: Lanes = Self.lanes(variances + g * W + e) / (own * own)
            Self.set(sum + e, .zero)
            Self.set(spread + e, inside * inside / freedom[g])
        }
        for h in 0..<G where h != g {
            for e in stride(from: 0, to: W, by: 4) {
                let part: Lanes = Self.lanes(variances + h * W + e) / (rest * rest)
                Self.set(sum + e, Self.lanes(sum + e) + part)
                let square: Lanes = part * part / freedom[h]
                Self.set(spread + e, Self.lanes(spread + e) + square)
            }
        }
    }

    /// A column's variance drawn towards what is expected of it, by as much as this many units would (empirical Bayes, as in Smyth 2004;
    /// the degrees of freedom are left as they are).
    private static let priorUnits = 4.0

    /// - Parameter isRare: whether the label has less of the column than the others; then few of its units have any, their variance is
    ///   too small just where the share is, and is not taken to be below what is expected.
    private static func moderated(_ variance: Double, _ expected: Double, _ freedom: Double, isRare: Bool) -> Double {
        let drawn = (freedom * variance + priorUnits * expected) / (freedom + priorUnits)
        return isRare ? max(drawn, expected) : drawn
    }

    /// How many times the variance over units is that of independent draws, for all columns together; at least 1.
    /// - Parameter sum: of squared residuals of all columns.
    private func designEffect(_ sum: Double, _ size: Double) -> Double {
        allNoise > 0 && size > 0 ? max(1, sum / (allNoise * size)) : 0
    }

    /// Units with documents of several groups: what a unit does to a label's share and to the share elsewhere is taken together, so
    /// that what the unit's documents have in common cancels.
    private func addCrossed(_ labels: [Int], _ scratch: Scratch) {
        let (sums, shares, restShares, whole) = (scratch.sums, scratch.shares, scratch.restShares, scratch.whole)
        let size = total[E]
        let count = Double(several.count)
        let scale = several.count > 1 ? (count - 1) / count : 0
        for g in targets {
            let own = sums[g * W + E]
            let rest = size - own
            guard own > 0, rest > 0 else { continue }
            for e in 0..<E {
                shares[g * W + e] = sums[g * W + e] / own
                restShares[g * W + e] = (total[e] - sums[g * W + e]) / rest
            }
        }
        values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for unit in several {
                scratch.parts.update(repeating: 0, count: G * W)
                whole.update(repeating: 0, count: W)
                for row in unit {
                    add(values + row * W, to: scratch.parts + labels[row] * W)
                    add(values + row * W, to: whole)
                }
                let lever = 1 / max(1e-9, 1 - whole[E] / size)
                let weight = scale * lever * lever
                for g in targets {
                    let own = sums[g * W + E]
                    let rest = size - own
                    guard own > 0, rest > 0 else { continue }
                    let part = scratch.parts + g * W
                    let inside = part[E]
                    let outside = whole[E] - inside
                    let (share, restShare) = (shares + g * W, restShares + g * W)
                    let first = scratch.crossed + g * W
                    let (second, third) = (first + G * W, first + 2 * G * W)
                    for e in stride(from: 0, to: W, by: 4) {
                        let y = Self.lanes(part + e)
                        let expected: Lanes = Self.lanes(share + e) * inside
                        let mine: Lanes = (y - expected) / own
                        let restExpected: Lanes = Self.lanes(restShare + e) * outside
                        let others: Lanes = (Self.lanes(whole + e) - y - restExpected) / rest
                        let apart = mine - others
                        Self.set(first + e, Self.lanes(first + e) + weight * mine * mine)
                        Self.set(second + e, Self.lanes(second + e) + weight * others * others)
                        Self.set(third + e, Self.lanes(third + e) + weight * apart * apart)
                    }
                }
            }
        }
    }

    private typealias Lanes = SIMD4<Double>

    @inline(__always)
    private static func lanes(_ place: UnsafePointer<Double>) -> Lanes {
        UnsafeRawPointer(place).loadUnaligned(as: Lanes.self)
    }

    @inline(__always)
    private static func set(_ place: Row, _ lanes: Lanes) {
        UnsafeMutableRawPointer(place).storeBytes(of: lanes, as: Lanes.self)
    }

    /// Adds a row to a row.
    @inline(__always)
    private func add(_ source: UnsafePointer<Double>, to target: Row) {
        for e in stride(from: 0, to: W, by: 4) {
            Self.set(target + e, Self.lanes(target + e) + Self.lanes(source + e))
        }
    }
}
