import Foundation

/// Information between rows and columns of a table of counts.
package struct TableInformation {
    /// Sum of the counts.
    package var total = 0.0
    /// nats, as the counts are.
    package var plugIn = 0.0
    /// nats, Miller–Madow corrected: less (rows − 1)(columns − 1)/(2N), rows and columns that are not empty.
    package var corrected = 0.0
    /// nats
    var rowEntropy = 0.0

    package init(_ counts: UnsafeBufferPointer<Double>, rows: Int, columns: Int) {
        withUnsafeTemporaryAllocation(of: Double.self, capacity: rows + columns) { margins in
            margins.initialize(repeating: 0)
            var filled = 0
            let sums = CountLogarithm.with { xlogx in
                var joint = 0.0
                for r in 0..<rows {
                    var row = 0.0
                    for c in 0..<columns {
                        let count = counts[r * columns + c]
                        guard count > 0 else { continue }
                        row += count
                        margins[rows + c] += count
                        joint += xlogx(count)
                        filled += 1
                    }
                    margins[r] = row
                    total += row
                }
                var (rowSum, columnSum) = (0.0, 0.0)
                for count in margins[0..<rows] where count > 0 { rowSum += xlogx(count) }
                for count in margins[rows...] where count > 0 { columnSum += xlogx(count) }
                return (rows: rowSum, columns: columnSum, joint: joint, all: total > 0 ? xlogx(total) : 0)
            }
            guard total > 0 else { return }
            // H = log N − Σ n log n / N, of rows, columns and cells.
            rowEntropy = max(0, sums.all - sums.rows) / total
            plugIn = max(0, sums.all - sums.rows - sums.columns + sums.joint) / total
            let usedRows = margins[0..<rows].reduce(0) { $0 + ($1 > 0 ? 1 : 0) }
            let usedColumns = margins[rows...].reduce(0) { $0 + ($1 > 0 ? 1 : 0) }
            // Miller–Madow on each entropy: H(r) + H(c) − H(r,c) gets (R − 1 + C − 1 − (filled − 1))/(2N).
            corrected = plugIn + Double(usedRows + usedColumns - filled - 1) / (2 * total)
        }
    }
}

extension InformationMetric {
    /// - Throws: where fewer than two groups have enough documents.
    public static func compute(_ input: MetricInput) throws(MetricError) -> InformationMetric {
        let groups = try input.groupsToCompare(definition.name)
        let E = input.sample.experts
        var layers: [Layer] = []
        var units: [UnitRow] = []
        let contrasts = input.contrasts
        for (place, layer) in input.layers.enumerated() {
            let found = contrasts.test.smallest(place)
            let table = input.table(columns: E, values: layer.assignments).restricted(to: groups)
            let own = plugIn(table, input, stream: input.stream(definition.name, layer))
            layers.append(
                Layer(
                    layer: layer.layer, assignments: Int(table.values.reduce(0, +)), plugIn: own.plugIn,
                    information: own.information, groupEntropy: own.groupEntropy, share: own.share,
                    pValue: found?.tableP, adjustedP: found?.adjustedP))
            let firsts = input.table(columns: E, values: layer.firsts).restricted(to: groups)
            let first = plugIn(firsts, input, stream: input.stream(definition.name, layer, 1))
            let tokens = groups.reduce(0) { $0 + input.sample.groups[$1].tokens }
            units.append(row(layer, .assignment, tokens: tokens, own))
            if input.trace.layout.hasChoiceOrder {
                units.append(row(layer, .firstChoice, tokens: Int(firsts.values.reduce(0, +)), first))
            }
            units.append(try set(input, layer, groups, assignment: own, groupEntropy: first.groupEntropy))
        }
        return InformationMetric(sample: input.sample, layers: layers, units: units)
    }

    private struct PlugIn {
        /// Bits, as the counts are.
        var plugIn, groupEntropy: Double
        var information, share: Estimate
    }

    /// Of a table of groups by experts, first choices or sets.
    private static func plugIn(_ table: DocumentTable, _ input: MetricInput, stream: UInt64) -> PlugIn {
        let (G, C) = (table.groupCount, table.columns)
        let bits = 1 / log(2.0)
        let bootstrap = Bootstrap(
            table, settings: input.settings, stream: stream, width: 3, interval: { _ in .debiased }
        ) { sums, results in
            let information = TableInformation(sums, rows: G, columns: C)
            results[0] = information.plugIn * bits
            results[1] = information.rowEntropy > 0 ? information.plugIn / information.rowEntropy : 0
            results[2] = information.rowEntropy * bits
        }
        let groupEntropy = bootstrap.values[2]
        let layers = input.layers.count
        return PlugIn(
            plugIn: bootstrap.values[0], groupEntropy: groupEntropy,
            information: bootstrap.estimate(0, within: 0...max(0, groupEntropy), among: layers),
            share: bootstrap.estimate(1, within: 0...1, among: layers))
    }

    private static func row(
        _ layer: LayerCounts, _ unit: Unit, tokens: Int, _ found: PlugIn, note: String? = nil
    ) -> UnitRow {
        UnitRow(
            layer: layer.layer, unit: unit, method: .plugIn, tokens: tokens, information: found.information,
            share: found.share, groupEntropy: found.groupEntropy, note: note)
    }

    /// Tokens that a group has for each set that occurs, at least, where sets are counted.
    static let tokensPerSet = 5
    /// Sets that are counted at most.
    static let mostSets = 512

    /// What the set tells. Sets are counted where K is 1, or where it is 2, sets occur in every group at least `tokensPerSet` times each on
    /// average (tokens of the group over sets that occur at all), and there are `mostSets` at most; the jackknife's
    /// correction is that of full cells, and useless where most sets were seen once. Otherwise they are decoded.
    private static func set(
        _ input: MetricInput, _ layer: LayerCounts, _ groups: [Int], assignment: PlugIn, groupEntropy: Double
    ) throws(MetricError) -> UnitRow {
        let tokens = groups.reduce(0) { $0 + input.sample.groups[$1].tokens }
        guard layer.slots > 1 else { return row(layer, .set, tokens: tokens, assignment) }
        var reason = "sets of \(layer.slots) experts are too many to count"
        if layer.slots == 2, layer.hasPairsPerDocument {
            let pairs = layer.experts * (layer.experts - 1) / 2
            let table = input.table(columns: pairs, values: layer.pairs).restricted(to: groups)
            let sums = table.sums
            let occurring = (0..<pairs).filter { set in groups.indices.contains { sums[$0 * pairs + set] > 0 } }
            let perGroup = groups.indices.map { sums[$0 * pairs..<($0 + 1) * pairs].reduce(0, +) }
            let fewest = perGroup.min() ?? 0
            if occurring.count <= mostSets, fewest >= Double(tokensPerSet * occurring.count), !occurring.isEmpty {
                return row(
                    layer, .set, tokens: Int(perGroup.reduce(0, +)),
                    plugIn(table.columns(occurring), input, stream: input.stream(definition.name, layer, 2)))
            }
            reason =
                "\(occurring.count) sets occur, and a group has \(Int(fewest)) tokens: sets are counted where each has \(tokensPerSet) on "
                + "average in every group, and up to \(mostSets)"
        }
        do throws(MetricError) {
            guard let found = try DecodingMetric.compute(input).layers.first(where: { $0.layer == layer.layer }) else {
                throw MetricError(definition.name, "layer \(layer.layer) was not decoded")
            }
            return UnitRow(
                layer: layer.layer, unit: .set, method: .decoding, tokens: found.tokens,
                information: found.gain.cut(to: 0...found.groupEntropy), share: found.share.cut(to: 0...1),
                groupEntropy: found.groupEntropy,
                note: ["a lower bound: \(reason)", found.note].compactMap(\.self).joined(separator: "; "))
        } catch {
            guard error.damage == nil else { throw error }
            return UnitRow(
                layer: layer.layer, unit: .set, method: .decoding, tokens: tokens, groupEntropy: groupEntropy,
                note: "\(reason); \(error.problem)")
        }
    }
}

extension MetricInput {
    /// Places of the groups that have enough documents, at least two.
    func groupsToCompare(_ metric: String) throws(MetricError) -> [Int] {
        let large = largeGroups
        guard large.count > 1 else {
            let found = sample.groups.map { "\($0.name): \($0.documents)" }.joined(separator: ", ")
            throw MetricError(
                metric,
                "expected at least two groups of \(max(2, settings.minimumDocuments)) documents, found \(found)",
                hint: "trace more documents, or lower the minimum")
        }
        return large
    }
}
