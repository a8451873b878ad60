import Foundation
import Tensors

/// Does a group differ from the others in what its documents are, column by column? For shares of experts: does the group's share of
/// an expert differ from the share elsewhere?
///
/// The statistic is a studentized contrast of two ratios, (Σ y_g/Σ m_g − Σ y_rest/Σ m_rest)/se, with y a column and m the size of a
/// document. The variance is taken over units by linearization with a correction for each unit's weight (the jackknife of a ratio), and
/// t is brought to the normal scale with Satterthwaite's degrees of freedom, where units of unequal size count for fewer. Groups of
/// different size and dispersion are so compared on one scale.
///
/// A column that none of a few documents has would have no variance. So each column's variance is drawn towards what its share in all
/// groups gives for independent draws (as in a score test, where the variance is that of the null), times the group's design effect over
/// all columns (Kish 1965).
///
/// A p-value is the larger of two:
/// - the share of relabellings (`LabelExchange`) with a contrast at least as large: exact where documents are exchangeable, and
///   approximately so where groups have the same mean only, since the statistic is studentized (Janssen 1997; Chung & Romano 2013);
/// - Welch's, from t alone: where one group's few documents differ from each other and the other group's do not, relabelling
///   cannot know.
///
/// Adjusted p-values hold for all columns of all tables together: relabellings by the largest contrast of each (Westfall & Young
/// 1993, single step), Welch's by Bonferroni.
package struct ContrastTest: Sendable {
    package struct Cell: Sendable {
        /// Σ y/Σ m in the group, and in the groups it is compared with.
        package var share = 0.0
        package var rest = 0.0
        /// Σ m in the group, and in the groups it is compared with.
        package var size = 0.0
        package var restSize = 0.0
        /// Standard errors of `share`, `rest` and of their difference, over units.
        package var shareError = 0.0
        package var restError = 0.0
        package var error = 0.0
        /// Degrees of freedom of `error`, `shareError` and `restError`.
        package var freedom = 1.0
        package var shareFreedom = 1.0
        package var restFreedom = 1.0
        /// The contrast on the normal scale; its sign is the difference's.
        package var z = 0.0
        /// Two-sided, for this column of this group alone.
        package var pValue = 1.0
        /// Two-sided, for all columns of all groups of the table.
        package var tableP = 1.0
        /// Two-sided, for all columns of all groups of all tables.
        package var adjustedP = 1.0
    }

    /// [tables][G][E]; nil for a group that was not compared.
    package private(set) var cells: [[[Cell]?]]
    /// Cells compared in all tables.
    package private(set) var count = 0

    /// - Parameters:
    ///   - tables: of the same documents, with the same columns: E numerators, then the size.
    ///   - targets: groups to compare with the others, by their place.
    ///   - noise: for each table and column, the variance of one independent draw; nil: numerators are counts out of the size, and it is
    ///     p(1 − p), p the share in all documents.
    package init(
        _ tables: [DocumentTable], targets: [Int], settings: MetricSettings, stream: UInt64 = 0,
        noise: [[Double]]? = nil
    ) {
        guard let first = tables.first, first.columns > 1 else {
            cells = tables.map { _ in [] }
            return
        }
        let E = first.columns - 1
        var cells: [[[Cell]?]] = tables.map { _ in [[Cell]?](repeating: nil, count: first.groupCount) }
        let B = max(0, settings.permutations)
        // Largest contrasts of every relabelling: of each table, and of all.
        var largest = [[Double]](repeating: [Double](repeating: 0, count: B), count: tables.count)
        for (number, part) in ContrastPart.parts(first, targets).enumerated() {
            // The same for every table.
            let relabelled = part.relabelled(B, seed: settings.seed, stream: stream &+ UInt64(number))
            for (place, table) in tables.enumerated() {
                let data = part.data(table, noise: noise?[place])
                let observed = data.cells(labels: part.labels)
                let width = part.targets.count * E
                let sizes = observed.map { abs($0.z) * (1 - 1e-12) }
                let null = Parallel.rows(B, width: width, threads: settings.threads) { permutation, z in
                    data.statistics(labels: relabelled(permutation), into: z)
                }
                var extreme = [Int](repeating: 0, count: width)
                for permutation in 0..<B {
                    var top = largest[place][permutation]
                    for i in 0..<width {
                        let z = abs(null[permutation * width + i])
                        if z >= sizes[i] { extreme[i] += 1 }
                        if z > top { top = z }
                    }
                    largest[place][permutation] = top
                }
                for (t, target) in part.targets.enumerated() {
                    var found = Array(observed[t * E..<(t + 1) * E])
                    for e in 0..<E {
                        let welch = 2 * normalCDF(-abs(found[e].z))
                        found[e].pValue = max(Double(1 + extreme[t * E + e]) / Double(1 + B), welch)
                    }
                    cells[place][part.groups[target]] = found
                }
            }
        }
        let perTable = (cells.first ?? []).reduce(0) { $0 + ($1?.count ?? 0) }
        count = perTable * tables.count
        var all = [Double](repeating: 0, count: B)
        for table in largest { for b in 0..<B { all[b] = max(all[b], table[b]) } }
        all.sort()
        for place in cells.indices {
            let own = largest[place].sorted()
            for group in cells[place].indices {
                guard var row = cells[place][group] else { continue }
                for e in row.indices {
                    let welch = 2 * normalCDF(-abs(row[e].z))
                    let size = abs(row[e].z) * (1 - 1e-12)
                    func share(_ sorted: [Double]) -> Double {
                        Double(1 + Self.atLeast(size, in: sorted)) / Double(1 + B)
                    }
                    row[e].tableP = max(share(own), min(1, welch * Double(perTable)))
                    row[e].adjustedP = max(share(all), min(1, welch * Double(count)))
                }
                cells[place][group] = row
            }
        }
        self.cells = cells
    }

    /// Whether groups differ in a table at all: the smallest of its cells' p-values, for the whole table and for all tables; nil where
    /// no group is compared.
    package func smallest(_ table: Int) -> (tableP: Double, adjustedP: Double)? {
        let cells = cells[table].compactMap(\.self).flatMap(\.self)
        guard let own = cells.map(\.tableP).min(), let all = cells.map(\.adjustedP).min() else { return nil }
        return (own, all)
    }

    /// How many of some rising values are at least this.
    private static func atLeast(_ value: Double, in sorted: [Double]) -> Int {
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < value { low = middle + 1 } else { high = middle }
        }
        return sorted.count - low
    }
}

/// Documents whose labels are exchanged together. Groups whose documents lie in blocks are compared within them; the others are
/// compared unit by unit, with all units of the rest as one more group.
private struct ContrastPart {
    /// The table's documents of each row, and each row's label.
    let rows: [[Int]]
    let labels: [Int]
    /// The table's group of each label; beyond, the rest.
    let groups: [Int]
    let labelCount: Int
    /// Labels that are compared with the others.
    let targets: [Int]
    /// Units of the rows.
    let unit: [Int]
    private let exchange: LabelExchange

    private init(
        rows: [[Int]], labels: [Int], groups: [Int], labelCount: Int, targets: [Int], design: SamplingDesign
    ) {
        self.rows = rows
        self.labels = labels
        self.groups = groups
        self.labelCount = labelCount
        self.targets = targets
        unit = design.unit
        exchange = LabelExchange(labels: labels, design: design)
    }

    static func parts(_ table: DocumentTable, _ targets: [Int]) -> [ContrastPart] {
        let design = table.design
        func label(of groups: [Int]) -> [Int] {
            var place = [Int](repeating: -1, count: table.groupCount)
            for (new, old) in groups.enumerated() { place[old] = new }
            return place
        }
        var inBlocks = [Set<Int>](repeating: [], count: table.groupCount)
        var groupsOf: [Int: Set<Int>] = [:]
        for (document, group) in table.group.enumerated() where design.block[document] >= 0 {
            groupsOf[design.block[document], default: []].insert(group)
        }
        for (document, group) in table.group.enumerated()
        where groupsOf[design.block[document]].map({ $0.count > 1 }) ?? false {
            inBlocks[group].insert(document)
        }
        // Groups compared within blocks: those with enough documents there for a variance.
        let crossed = (0..<table.groupCount).filter { inBlocks[$0].count > 1 }
        let others = targets.filter { !crossed.contains($0) }
        var parts: [ContrastPart] = []
        if crossed.count > 1 {
            let kept = crossed.flatMap { inBlocks[$0] }.sorted()
            let place = label(of: crossed)
            parts.append(
                ContrastPart(
                    rows: kept.map { [$0] }, labels: kept.map { place[table.group[$0]] }, groups: crossed,
                    labelCount: crossed.count, targets: crossed.indices.filter { targets.contains(crossed[$0]) },
                    design: design.restricted(to: kept)))
        }
        guard !others.isEmpty else { return parts }
        let apart = (0..<table.groupCount).filter { crossed.count < 2 || !crossed.contains($0) }
        let place = label(of: apart)
        var units: [Int: [Int]] = [:]
        for document in table.group.indices { units[design.unit[document], default: []].append(document) }
        var rows: [[Int]] = []
        var labels: [Int] = []
        var hasRest = false
        for (_, documents) in units.sorted(by: { $0.key < $1.key }) {
            let found = place[table.group[documents[0]]]
            hasRest = hasRest || found < 0
            rows.append(documents)
            labels.append(found < 0 ? apart.count : found)
        }
        parts.append(
            ContrastPart(
                rows: rows, labels: labels, groups: apart, labelCount: apart.count + (hasRest ? 1 : 0),
                targets: apart.indices.filter { others.contains(apart[$0]) },
                design: SamplingDesign(documents: rows.count)))
        return parts
    }

    /// Labels that are kept at most; more are made anew for every table.
    private static let mostKept = 8_000_000

    /// The labels of each of `count` permutations.
    func relabelled(_ count: Int, seed: UInt64, stream: UInt64) -> @Sendable (Int) -> [Int] {
        let exchange = exchange
        let make: @Sendable (Int) -> [Int] = { exchange(seed: seed, stream: stream, permutation: $0) }
        guard count * labels.count <= Self.mostKept else { return make }
        let kept = (0..<count).map(make)
        return { kept[$0] }
    }

    func data(_ table: DocumentTable, noise: [Double]?) -> ContrastData {
        let C = table.columns
        var values = [Double](repeating: 0, count: rows.count * C)
        for (row, documents) in rows.enumerated() {
            for document in documents {
                for column in 0..<C { values[row * C + column] += table.values[document * C + column] }
            }
        }
        return ContrastData(E: C - 1, G: labelCount, targets: targets, unit: unit, values: values, noise: noise)
    }
}

extension ContrastTest.Cell {
    /// Log odds ratio of the share in the group and elsewhere, natural logarithm.
    var logOdds: Double {
        logit(halvedShare(share * size, of: size)) - logit(halvedShare(rest * restSize, of: restSize))
    }

    /// The share in the group, in the groups it is compared with, and the log odds ratio, with intervals that hold for `count` cells at
    /// once (Bonferroni, Student's t on the logit scale).
    func simultaneous(level: Double, count: Int) -> (share: Estimate, elsewhere: Estimate, logOdds: Estimate) {
        let z = normalQuantile(1 - (1 - level) / (2 * Double(max(1, count))))
        let (p, q) = (halvedShare(share * size, of: size), halvedShare(rest * restSize, of: restSize))
        func interval(_ value: Double, _ p: Double, _ error: Double, _ freedom: Double) -> Estimate {
            let reach = studentScale(z, freedom: freedom) * error / (p * (1 - p))
            func share(_ logit: Double) -> Double { 1 / (1 + exp(-logit)) }
            return Estimate(
                value, lower: min(value, share(logit(p) - reach)), upper: max(value, share(logit(p) + reach)))
        }
        let covariance = (shareError * shareError + restError * restError - error * error) / 2
        let (own, other) = (1 / (p * (1 - p)), 1 / (q * (1 - q)))
        let variance = max(
            0,
            shareError * shareError * own * own + restError * restError * other * other
                - 2 * covariance * own * other)
        let reach = studentScale(z, freedom: freedom) * variance.squareRoot()
        return (
            interval(share, p, shareError, shareFreedom), interval(rest, q, restError, restFreedom),
            Estimate(logOdds, lower: logOdds - reach, upper: logOdds + reach)
        )
    }

    /// The difference of shares that would be found in four of five such samples, where `count` cells are judged together.
    func detectable(level: Double, count: Int) -> Double {
        let critical = studentScale(normalQuantile(1 - (1 - level) / (2 * Double(max(1, count)))), freedom: freedom)
        return (critical + studentScale(normalQuantile(0.8), freedom: freedom)) * error
    }
}

/// Degrees of freedom of a variance over units of unequal size, (Σ m²)²/Σ m⁴ − 1, at least 1: n − 1 for n equal ones.
/// - Parameters:
///   - squares: Σ m², m the units' sizes.
///   - fourthPowers: Σ m⁴
func degreesOfFreedom(squares: Double, fourthPowers: Double) -> Double {
    fourthPowers > 0 ? max(1, squares * squares / fourthPowers - 1) : 1
}

/// Inverse of `normalScale`.
package func studentScale(_ z: Double, freedom: Double) -> Double {
    let scaled = z * (8 * freedom + 3) / (8 * freedom + 1)
    let t = (freedom * expm1(scaled * scaled / freedom)).squareRoot()
    return z < 0 ? -t : t
}

/// Student's t on the normal scale: Wallace's approximation (Annals of Mathematical Statistics 30, 1959), whose tails are a little
/// heavier than Student's: at four degrees of freedom and t = 10, p is 6.6e-4 where it should be 5.6e-4.
package func normalScale(_ t: Double, freedom: Double) -> Double {
    let z = (8 * freedom + 1) / (8 * freedom + 3) * (freedom * log1p(t * t / freedom)).squareRoot()
    return t < 0 ? -z : z
}
