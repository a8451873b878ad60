/// How often neighbouring tokens go to the same expert.
public struct RepetitionMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "repetition", title: "Repeated assignments of neighbouring tokens",
        formula: "P(e¹_i = e¹_{i+1}) and P(S_i ∩ S_{i+1} ≠ ∅); chance: 1/E and 1 − C(E−K,K)/C(E,K) under uniform load; "
            + "two tokens drawn independently from the group, under the measured load",
        source: "Mixtral of Experts (arXiv 2401.04088), Table 5")

    public struct Row: Codable, Sendable, Equatable {
        public var layer: Int
        public var group: GroupKey
        public var documents: Int
        /// Pairs of neighbouring tokens of one document, both counted.
        public var pairs: Int
        /// P(e¹_i = e¹_{i+1}); nil where the group has too few documents.
        public var first: Estimate?
        /// P(S_i ∩ S_{i+1} ≠ ∅)
        public var any: Estimate?
        public var chanceFirst: Double
        public var chanceAny: Double
        public var loadChanceFirst: Double
        public var loadChanceAny: Double
    }

    public var sample: MetricSample
    /// By layer; the pooled row first, then groups by name.
    public var rows: [Row]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: "repetition", title: "Repeated assignments of neighbouring tokens",
                columns: [.layer] + MetricColumn.groupOrPooled + [
                    .documents, MetricColumn("pairs", .integer, "pairs of neighbouring tokens"),
                ] + MetricColumn.estimate("first", "P(first choice equals the next token's first choice)")
                    + MetricColumn.estimate("any", "P(the two tokens share an expert)") + [
                        MetricColumn("chance_first", .real, "1/E"),
                        MetricColumn("chance_any", .real, "1 − C(E−K,K)/C(E,K)"),
                        MetricColumn("load_chance_first", .real, "two independent tokens of the group: Σ p_e²"),
                        MetricColumn("load_chance_any", .real, "two independent tokens of the group share an expert"),
                        .note,
                    ],
                rows: rows.map {
                    [.integer($0.layer)] + $0.group.cells + [.integer($0.documents), .integer($0.pairs)]
                        + $0.first.cells + $0.any.cells + [
                            .real($0.chanceFirst), .real($0.chanceAny), .real($0.loadChanceFirst),
                            .real($0.loadChanceAny), $0.first == nil ? .text("too few documents") : .missing,
                        ]
                })
        ]
    }
}
