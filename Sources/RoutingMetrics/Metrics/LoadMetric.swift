/// How evenly the experts are used.
public struct LoadMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "load", title: "Expert load",
        formula:
            "p_e = n_e / Σ n_e; CV = std(n)/mean(n); Gini = Σ_i Σ_j |p_i − p_j| / (2E); max/mean; mean/max; H(p)/log E",
        source: "Switch Transformer (arXiv 2101.03961); mean/max is SGLang's balancedness")

    public struct Expert: Codable, Sendable, Equatable {
        public var expert: Int
        /// Assignments.
        public var count: Int
        /// Share of all assignments; uniform is 1/E.
        public var share: Estimate
    }

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var assignments: Int
        public var coefficientOfVariation: Estimate
        public var gini: Estimate
        public var maxOverMean: Estimate
        /// mean/max, in 0…1.
        public var balancedness: Estimate
        /// H(p)/log E, in 0…1.
        public var entropy: Estimate
        /// Experts no token went to.
        public var deadExperts: [Int]
        public var experts: [Expert]
    }

    public var sample: MetricSample
    public var layers: [Layer]

    public var tables: [MetricTable] { Self.tables(layers) }

    /// Tables of counts that no document is known of: values without intervals.
    ///
    /// - Parameter counts: layers by the model's numbers, with the assignments of every expert.
    public static func tables(counts: [(layer: Int, experts: [Int])]) -> [MetricTable] {
        tables(
            counts.map { layer, experts in
                let total = experts.reduce(0, +)
                let balance = Balance(experts.map(Double.init))
                return Layer(
                    layer: layer, assignments: total,
                    coefficientOfVariation: Estimate(balance.coefficientOfVariation), gini: Estimate(balance.gini),
                    maxOverMean: Estimate(balance.maxOverMean), balancedness: Estimate(balance.balancedness),
                    entropy: Estimate(balance.entropy), deadExperts: experts.indices.filter { experts[$0] == 0 },
                    experts: experts.enumerated().map { expert, count in
                        Expert(
                            expert: expert, count: count, share: Estimate(total > 0 ? Double(count) / Double(total) : 0)
                        )
                    })
            })
    }

    private static func tables(_ layers: [Layer]) -> [MetricTable] {
        let experts = MetricTable(
            name: "load", title: "Load per layer and expert",
            columns: [.layer, .expert, MetricColumn("assignments", .integer, "assignments to the expert")]
                + MetricColumn.estimate("share", "share of the layer's assignments; uniform is 1/E"),
            rows: layers.flatMap { layer in
                layer.experts.map { [.integer(layer.layer), .integer($0.expert), .integer($0.count)] + $0.share.cells }
            })
        let summary = MetricTable(
            name: "load-layers", title: "Balance per layer",
            columns: [.layer, MetricColumn("assignments", .integer, "assignments in the layer")]
                + MetricColumn.estimate("cv", "coefficient of variation of the experts' counts")
                + MetricColumn.estimate("gini", "Gini coefficient of the experts' counts")
                + MetricColumn.estimate("max_over_mean", "largest count over mean count", forAll: "layers")
                + MetricColumn.estimate("balancedness", "mean count over largest count")
                + MetricColumn.estimate("entropy", "entropy of the shares over log E")
                + [MetricColumn("dead_experts", .integer, "experts without a single assignment")],
            rows: layers.map { layer in
                [.integer(layer.layer), .integer(layer.assignments)] + layer.coefficientOfVariation.cells
                    + layer.gini.cells + layer.maxOverMean.cells + layer.balancedness.cells + layer.entropy.cells
                    + [.integer(layer.deadExperts.count)]
            })
        return [experts, summary]
    }
}
