import Foundation

/// One table's rows, and the contrasts under any labels.
struct ContrastData: Sendable {
    let E: Int
    let G: Int
    let targets: [Int]
    /// [rows, E + 1]
    let values: [Double]
    /// Rows of each unit with several, and rows that are a unit by themselves.
    let several: [[Int]]
    let single: [Int]
    /// Σ m² and Σ m⁴ over the units with several rows.
    private let squares: (second: Double, fourth: Double)
    /// Sums of all rows, [E + 1].
    private let total: [Double]
    /// Variance of one independent draw, [E], and its sum.
    private let noise: [Double]
    private let allNoise: Double

    init(E: Int, G: Int, targets: [Int], unit: [Int], values: [Double], noise given: [Double]?) {
        self.E = E
        self.G = G
        self.targets = targets
        self.values = values
        let C = E + 1
        var rows: [Int: [Int]] = [:]
        for (row, unit) in unit.enumerated() { rows[unit, default: []].append(row) }
        several = rows.sorted { $0.key < $1.key }.map(\.value).filter { $0.count > 1 }
        single = rows.values.filter { $0.count == 1 }.map { $0[0] }.sorted()
        squares = several.reduce(into: (0.0, 0.0)) { sums, unit in
            let size = unit.reduce(0) { $0 + values[$1 * C + E] }
            sums.0 += size * size
            sums.1 += size * size * size * size
        }
        let total = (0..<C).map { column in unit.indices.reduce(0) { $0 + values[$1 * C + column] } }
        self.total = total
        noise = given ?? (0..<E).map { total[E] > 0 ? total[$0] / total[E] * (1 - total[$0] / total[E]) : 0 }
        allNoise = noise.reduce(0, +)
    }

    /// z of every target and column.
    func statistics(labels: [Int], into z: UnsafeMutableBufferPointer<Double>) {
        contrasts(labels: labels) { t, e, cell in z[t * E + e] = cell.z }
    }

    func cells(labels: [Int]) -> [ContrastTest.Cell] {
        var result = [ContrastTest.Cell](repeating: .init(), count: targets.count * E)
        contrasts(labels: labels) { t, e, cell in result[t * E + e] = cell }
        return result
    }

    private func contrasts(labels: [Int], _ body: (Int, Int, ContrastTest.Cell) -> Void) {
        let C = E + 1
        // Sums per label of all rows, and of those that are units by themselves.
        var sums = [Double](repeating: 0, count: G * C)
        var alone = [Double](repeating: 0, count: G * C)
        var units = [Double](repeating: 0, count: G)
        var second = [Double](repeating: 0, count: G)
        var fourth = [Double](repeating: 0, count: G)
        var aloneVariance = [Double](repeating: 0, count: G * E)
        let size = total[E]
        var freedom: [Double] = []
        let crossedFreedom = degreesOfFreedom(squares: squares.second, fourthPowers: squares.fourth)
        // Of units with several rows: variances of a label's share, of its rest's, and of their difference.
        var crossed = [Double](repeating: 0, count: 3 * G * E)
        values.withUnsafeBufferPointer { values in
            for (row, label) in labels.enumerated() {
                for column in 0..<C { sums[label * C + column] += values[row * C + column] }
            }
            for row in single {
                let label = labels[row]
                let size = values[row * C + E]
                for column in 0..<C { alone[label * C + column] += values[row * C + column] }
                units[label] += 1
                second[label] += size * size
                fourth[label] += size * size * size * size
            }
            freedom = (0..<G).map { degreesOfFreedom(squares: second[$0], fourthPowers: fourth[$0]) }
            for row in single {
                let label = labels[row]
                let size = values[row * C + E]
                let all = alone[label * C + E]
                guard all > size else { continue }
                let weight = 1 / (1 - size / all)
                for e in 0..<E {
                    let residual = weight * (values[row * C + e] - alone[label * C + e] / all * size)
                    aloneVariance[label * E + e] += residual * residual
                }
            }
            for label in 0..<G where units[label] > 1 {
                let scale = (units[label] - 1) / units[label]
                var sum = 0.0
                for e in 0..<E {
                    aloneVariance[label * E + e] *= scale
                    sum += aloneVariance[label * E + e]
                }
                let expected = designEffect(sum, alone[label * C + E]) * alone[label * C + E]
                for e in 0..<E {
                    let place = label * E + e
                    aloneVariance[place] = Self.moderated(
                        aloneVariance[place], expected * noise[e], freedom[label],
                        isRare: alone[label * C + e] * size < total[e] * alone[label * C + E])
                }
            }
            if !several.isEmpty {
                addCrossed(values, labels, sums, into: &crossed)
                let allAlone = (0..<G).reduce(0) { $0 + alone[$1 * C + E] }
                for g in targets {
                    let own = sums[g * C + E] - alone[g * C + E]
                    let rest = size - sums[g * C + E] - (allAlone - alone[g * C + E])
                    guard own > 0, rest > 0 else { continue }
                    for (kind, weight) in [own, rest, 1 / (1 / own + 1 / rest)].enumerated() {
                        let places = (kind * G + g) * E..<(kind * G + g + 1) * E
                        let expected = designEffect(crossed[places].reduce(0, +) * weight * weight, weight) / weight
                        for e in 0..<E {
                            let place = places.lowerBound + e
                            crossed[place] = Self.moderated(
                                crossed[place], expected * noise[e], crossedFreedom,
                                isRare: sums[g * C + e] * size < total[e] * sums[g * C + E])
                        }
                    }
                }
            }
        }
        for (t, g) in targets.enumerated() {
            let own = sums[g * C + E]
            let rest = size - own
            // A label with one unit has no variance.
            let isJudged =
                own > 0 && rest > 0
                && (!several.isEmpty || units[g] > 1 && units.indices.contains { $0 != g && units[$0] > 1 })
            guard isJudged else {
                for e in 0..<E { body(t, e, .init()) }
                continue
            }
            for e in 0..<E {
                var cell = ContrastTest.Cell()
                (cell.size, cell.restSize) = (own, rest)
                cell.share = sums[g * C + e] / own
                cell.rest = (total[e] - sums[g * C + e]) / rest
                let place = g * E + e
                let inside = aloneVariance[place] / (own * own)
                var restVariance = 0.0
                var spread = inside * inside / freedom[g]
                for h in 0..<G where h != g {
                    let part = aloneVariance[h * E + e] / (rest * rest)
                    restVariance += part
                    spread += part * part / freedom[h]
                }
                let between = crossed[2 * G * E + place]
                spread += between * between / crossedFreedom
                let variance = inside + restVariance + between
                cell.freedom = spread > 0 ? variance * variance / spread : 1
                let (ownCrossed, restCrossed) = (crossed[place], crossed[G * E + place])
                let shareVariance = inside + ownCrossed
                let restSpread = spread - inside * inside / freedom[g] - between * between / crossedFreedom
                cell.shareFreedom = Self.freedom([(inside, freedom[g]), (ownCrossed, crossedFreedom)])
                cell.restFreedom = Self.freedom(
                    [
                        (restVariance, restSpread > 0 ? restVariance * restVariance / restSpread : 1),
                        (restCrossed, crossedFreedom),
                    ])
                restVariance += restCrossed
                cell.error = variance.squareRoot()
                cell.shareError = shareVariance.squareRoot()
                cell.restError = restVariance.squareRoot()
                if variance > 0 { cell.z = normalScale((cell.share - cell.rest) / cell.error, freedom: cell.freedom) }
                body(t, e, cell)
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

    /// Satterthwaite's degrees of freedom of a sum of variances.
    private static func freedom(_ parts: [(variance: Double, freedom: Double)]) -> Double {
        let sum = parts.reduce(0) { $0 + $1.variance }
        let spread = parts.reduce(0) { $0 + $1.variance * $1.variance / $1.freedom }
        return spread > 0 ? max(1, sum * sum / spread) : 1
    }

    /// Units with documents of several groups: what a unit does to a label's share and to the share elsewhere is taken together, so
    /// that what the unit's documents have in common cancels.
    private func addCrossed(
        _ values: UnsafeBufferPointer<Double>, _ labels: [Int], _ sums: [Double], into variances: inout [Double]
    ) {
        let C = E + 1
        let size = total[E]
        let count = Double(several.count)
        let scale = several.count > 1 ? (count - 1) / count : 0
        variances.withUnsafeMutableBufferPointer { variances in
            total.withUnsafeBufferPointer { total in
                sums.withUnsafeBufferPointer { sums in
                    withUnsafeTemporaryAllocation(of: Double.self, capacity: (G + 1) * C) { scratch in
                        let parts = UnsafeMutableBufferPointer(rebasing: scratch[0..<G * C])
                        let whole = UnsafeMutableBufferPointer(rebasing: scratch[G * C..<(G + 1) * C])
                        for unit in several {
                            parts.update(repeating: 0)
                            whole.update(repeating: 0)
                            for row in unit {
                                let start = labels[row] * C
                                for column in 0..<C {
                                    let value = values[row * C + column]
                                    parts[start + column] += value
                                    whole[column] += value
                                }
                            }
                            let lever = 1 / max(1e-9, 1 - whole[E] / size)
                            let weight = scale * lever * lever
                            for g in targets {
                                let own = sums[g * C + E]
                                let rest = size - own
                                guard own > 0, rest > 0 else { continue }
                                let inside = parts[g * C + E]
                                let outside = whole[E] - inside
                                let (part, sum, place) = (g * C, g * C, g * E)
                                for e in 0..<E {
                                    let y = parts[part &+ e]
                                    let mine = (y - sums[sum &+ e] / own * inside) / own
                                    let others =
                                        (whole[e] - y - (total[e] - sums[sum &+ e]) / rest * outside) / rest
                                    variances[place &+ e] += weight * mine * mine
                                    variances[G &* E &+ place &+ e] += weight * others * others
                                    variances[2 &* G &* E &+ place &+ e] +=
                                        weight * (mine - others) * (mine - others)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
