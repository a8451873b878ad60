/// Which experts are chosen together.
public struct CoactivationMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "coactivation", title: "Co-activation of experts",
        formula:
            "N_ij / N_i over all pairs in S; chance: the mean over tables in which each token of a document has as many experts and "
            + "each expert as many tokens as it has, all such tables being equally likely; ratio is observed over that, and its p-value "
            + "asks whether the sum of observed less expected over documents is zero; uniform is (K−1)/(E−1); with --adjacent-ranks N_ij "
            + "counts only choices of neighbouring ranks, and uniform is 2(K−1)/(K(E−1))",
        source: "OLMoE (arXiv 2409.02060), section 5.2; chance: Strona et al. (Nature Communications 5, 2014)")

    public struct Pair: Codable, Sendable, Equatable {
        public var layer: Int
        public var expert: Int
        public var other: Int
        /// Tokens that chose both.
        public var together: Int
        /// Tokens that chose `expert`.
        public var count: Int
        /// together / count; nil where the expert is dead.
        public var share: Estimate?
        /// `share` against the load of each document's experts; nil where that is not known. Test and ratio are the same for
        /// (expert, other) and (other, expert).
        public var chance: ChanceComparison?
    }

    public var sample: MetricSample
    /// (K−1)/(E−1); of neighbouring ranks 2(K−1)/(K(E−1)).
    public var uniform: Double
    /// By layer, expert, other; without the diagonal.
    public var pairs: [Pair]
    /// Why intervals or chance are missing, where they are.
    public var note: String?

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: "coactivation", title: "Experts chosen together",
                columns: [
                    .layer, .expert, MetricColumn("other", .integer, "the other expert"),
                    MetricColumn("together", .integer, unit: "tokens", "tokens that chose both"),
                    MetricColumn("count", .integer, unit: "tokens", "tokens that chose the expert"),
                ] + MetricColumn.estimate("share", "together/count; uniform is (K−1)/(E−1)")
                    + MetricColumn.chance(
                        of: "share", "share if, within each document, only the load of its experts were given",
                        forAll: "pairs and layers") + [
                        .note
                    ],
                rows: pairs.map {
                    [
                        .integer($0.layer), .integer($0.expert), .integer($0.other), .integer($0.together),
                        .integer($0.count),
                    ]
                        + $0.share.cells + $0.chance.cells + [
                            $0.share == nil ? .text("no token chose the expert") : .optional(note)
                        ]
                })
        ]
    }
}
