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
        let G = groups.count
        let bits = 1 / log(2.0)
        let statistic: TableStatistic = { sums, results in
            let information = TableInformation(sums, rows: G, columns: E)
            results[0] = information.corrected * bits
            results[1] = information.plugIn * bits
            results[2] = information.rowEntropy > 0 ? information.plugIn / information.rowEntropy : 0
            results[3] = information.rowEntropy * bits
        }
        var layers: [Layer] = []
        let contrasts = input.contrasts
        for (place, layer) in input.layers.enumerated() {
            let found = contrasts.layer(place)
            let table = input.table(columns: E, values: layer.assignments).restricted(to: groups)
            let stream = input.stream(definition.name, layer)
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: stream, width: 4, interval: { _ in .debiased }, statistic)
            let test = PermutationTest(table, settings: input.settings, stream: stream, width: 4, statistic)
            let entropy = bootstrap.values[3]
            layers.append(
                Layer(
                    layer: layer.layer, assignments: Int(table.values.reduce(0, +)), plugIn: bootstrap.values[1],
                    information: bootstrap.estimate(1, within: 0...max(0, entropy)), groupEntropy: entropy,
                    share: bootstrap.estimate(2, within: 0...1), nullMean: test.mean(0),
                    nullUpper: test.quantile(0, 0.95),
                    pValue: found?.pValue, adjustedP: found?.adjustedP))
        }
        return InformationMetric(sample: input.sample, layers: layers)
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
