/// How differently two groups are routed.
public struct DivergenceMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "divergence", title: "Jensen–Shannon divergence between groups",
        formula:
            "JSD(p_a, p_b) = H((p_a+p_b)/2) − (H(p_a)+H(p_b))/2 in nats, p_g(e) = n(g,e)/Σ_e n(g,e); at most log 2",
        source:
            "Lin 1991; less the jackknife's bias over documents; p-values: as in \"association\", for the two groups")

    public struct Pair: Codable, Sendable, Equatable {
        public var layer: Int
        public var groupA: String
        public var groupB: String
        /// nats
        public var divergence: Estimate
        /// nats: mean over permuted labels.
        public var nullMean: Double
        /// That some expert's share differs between the two groups, for all experts of the layer; nil where they cannot be compared,
        /// or where there are more than a hundred pairs, too many to be told apart by so many permutations.
        public var pValue: Double?
        /// The same for all layers and pairs together.
        public var adjustedP: Double?
    }

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        /// nats: mean over all pairs of groups.
        public var mean: Estimate
        /// nats: the same over permuted labels.
        public var nullMean: Double
    }

    /// Whether pairs were tested. Permutations tell nothing of more than a hundred pairs where the smallest p-value that they give
    /// is above the level when it is multiplied by the number of pairs.
    public var isTested: Bool { pairs.isEmpty || pairs.contains { $0.pValue != nil } }

    public var sample: MetricSample
    /// By layer, then groups by name; a < b.
    public var pairs: [Pair]
    public var layers: [Layer]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: "divergence", title: "Jensen–Shannon divergence, all pairs of groups",
                columns: [
                    .layer, MetricColumn("group_a", .text, "first group"),
                    MetricColumn("group_b", .text, "second group"),
                ] + MetricColumn.estimate("divergence", unit: "nats", "JSD of the groups' shares; at most ln 2")
                    + [
                        MetricColumn("null_mean", .real, unit: "nats", "mean over permuted labels"), .pValue,
                        .adjustedP,
                    ],
                rows: pairs.map {
                    [.integer($0.layer), .text($0.groupA), .text($0.groupB)] + $0.divergence.cells
                        + [.real($0.nullMean), .optional($0.pValue), .optional($0.adjustedP)]
                }),
            MetricTable(
                name: "divergence-layers", title: "Mean divergence by layer",
                columns: [.layer] + MetricColumn.estimate("mean", unit: "nats", "mean JSD over all pairs of groups")
                    + [MetricColumn("null_mean", .real, unit: "nats", "mean over permuted labels")],
                rows: layers.map { [.integer($0.layer)] + $0.mean.cells + [.real($0.nullMean)] }),
        ]
    }
}
