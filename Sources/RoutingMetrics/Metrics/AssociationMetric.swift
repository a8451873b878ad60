import Foundation

/// Whether group and expert go together, as a whole and cell by cell.
public struct AssociationMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "association", title: "Association of groups and experts",
        formula:
            "χ² = Σ (n − expected)²/expected over assignments; Cramér's V = √(χ²/(N·(min(G,E) − 1))), G and E those that occur; "
            + "log odds = ln((a+½)(d+½)/((b+½)(c+½))) of group g and expert e against all others",
        source:
            "Cramér 1946; Haldane 1956 for the halves; p-values: the larger of a permutation's of the studentized difference of shares (max-T, "
            + "Westfall & Young 1993; Chung & Romano 2013) and Welch's (Bonferroni), over documents or what belongs together"
    )

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var assignments: Int
        public var chiSquare: Double
        public var cramersV: Estimate
        /// For all cells of the layer together; nil where no group can be compared.
        public var pValue: Double?
        /// For all cells of all layers together.
        public var adjustedP: Double?
    }

    public struct Cell: Codable, Sendable, Equatable {
        public var layer: Int
        public var group: String
        public var expert: Int
        public var count: Int
        /// Natural logarithm of the odds ratio.
        public var logOdds: Estimate
        /// Two-sided; nil where the group cannot be compared.
        public var pValue: Double?
        /// For all cells of all layers together.
        public var adjustedP: Double?
    }

    public var sample: MetricSample
    public var layers: [Layer]
    /// By layer, group, expert.
    public var cells: [Cell]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Log odds of group and expert",
                columns: [
                    .layer, .group, .expert,
                    MetricColumn("assignments", .integer, "assignments of the group's tokens to the expert"),
                ] + MetricColumn.estimate("log_odds", "log odds ratio against all other groups and experts")
                    + [.pValue, .adjustedP],
                rows: cells.map {
                    [.integer($0.layer), .text($0.group), .integer($0.expert), .integer($0.count)] + $0.logOdds.cells
                        + [.optional($0.pValue), .optional($0.adjustedP)]
                }),
            MetricTable(
                name: "association-layers", title: "Association by layer",
                columns: [
                    .layer, MetricColumn("assignments", .integer, "assignments counted"),
                    MetricColumn("chi_square", .real, "χ² of the table of groups and experts"),
                ] + MetricColumn.estimate("cramers_v", "Cramér's V, 0 to 1") + [.pValue, .adjustedP],
                rows: layers.map {
                    [.integer($0.layer), .integer($0.assignments), .real($0.chiSquare)] + $0.cramersV.cells
                        + [.optional($0.pValue), .optional($0.adjustedP)]
                }),
        ]
    }

    /// - Throws: where fewer than two groups have enough documents.
    public static func compute(_ input: MetricInput) throws(MetricError) -> AssociationMetric {
        let groups = try input.groupsToCompare(definition.name)
        let E = input.sample.experts
        let G = groups.count
        let width = 2 + G * E
        let statistic: TableStatistic = { sums, results in
            var rows = [Double](repeating: 0, count: G)
            var columns = [Double](repeating: 0, count: E)
            for g in 0..<G {
                for e in 0..<E {
                    rows[g] += sums[g * E + e]
                    columns[e] += sums[g * E + e]
                }
            }
            let total = rows.reduce(0, +)
            var chiSquare = 0.0
            for g in 0..<G {
                for e in 0..<E {
                    let expected = rows[g] * columns[e] / max(1, total)
                    let count = sums[g * E + e]
                    if expected > 0 { chiSquare += (count - expected) * (count - expected) / expected }
                    let odds = (count + 0.5) * (total - rows[g] - columns[e] + count + 0.5)
                    results[2 + g * E + e] = log(odds / ((rows[g] - count + 0.5) * (columns[e] - count + 0.5)))
                }
            }
            let degrees = min(rows.reduce(0) { $0 + ($1 > 0 ? 1 : 0) }, columns.reduce(0) { $0 + ($1 > 0 ? 1 : 0) }) - 1
            results[0] = chiSquare
            results[1] = total > 0 && degrees > 0 ? (chiSquare / (total * Double(degrees))).squareRoot() : 0
        }
        var layers: [Layer] = []
        var cells: [Cell] = []
        let contrasts = input.contrasts
        for (layerPlace, layer) in input.layers.enumerated() {
            let found = contrasts.test.smallest(layerPlace)
            let table = input.table(columns: E, values: layer.assignments).restricted(to: groups)
            let stream = input.stream(definition.name, layer)
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: stream, width: width,
                interval: { $0 < 2 ? .debiased : .percentile }, statistic)
            let sums = table.sums
            layers.append(
                Layer(
                    layer: layer.layer, assignments: Int(sums.reduce(0, +)), chiSquare: bootstrap.values[0],
                    cramersV: bootstrap.estimate(1, value: bootstrap.values[1], within: 0...1), pValue: found?.tableP,
                    adjustedP: found?.adjustedP))
            for g in 0..<G {
                let compared = contrasts.cells(layer: layerPlace, group: groups[g])
                for e in 0..<E {
                    let place = 2 + g * E + e
                    cells.append(
                        Cell(
                            layer: layer.layer, group: input.groups[groups[g]], expert: e, count: Int(sums[g * E + e]),
                            logOdds: bootstrap.estimate(place, value: bootstrap.values[place]),
                            pValue: compared?[e].pValue, adjustedP: compared?[e].adjustedP))
                }
            }
        }
        return AssociationMetric(sample: input.sample, layers: layers, cells: cells)
    }
}
