/// How far two traces of the same tokens agree: checkpoints (saturation), precisions, quantizations, interventions, engines.
public struct AgreementMetric: MetricValues, Equatable {
    public static let definition = MetricDefinition(
        name: "agreement", title: "Agreement of two traces",
        formula:
            "mean |S ∩ S'|/K; P(S = S'); P(e¹ = e¹'); KL(π‖π') in nats; flips: P(S ≠ S') by decile of the first trace's margin "
            + "between choice K and K+1; ΔNLL = mean over tokens of NLL' − NLL, paired, p by flipping signs over documents",
        source: "router saturation: OLMoE (arXiv 2409.02060), section 5.1")

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var tokens: Int
        public var overlap: Estimate
        public var sameSet: Estimate
        public var sameFirst: Estimate
        /// nats; nil where a trace has no router logits.
        public var divergence: Estimate?
    }

    public struct Decile: Codable, Sendable, Equatable {
        public var layer: Int
        /// 1 has the smallest margins.
        public var decile: Int
        /// Margins of probability, from and below.
        public var lowerMargin: Double
        public var upperMargin: Double
        public var tokens: Int
        public var flips: Estimate
    }

    /// Choices of all layers together: every token counts once in every layer.
    public struct Overall: Codable, Sendable, Equatable {
        public struct Decile: Codable, Sendable, Equatable {
            /// 1 has the smallest margins; a choice's decile is that of its own layer.
            public var decile: Int
            public var tokens: Int
            public var flips: Estimate
        }

        public var layers: Int
        /// Tokens times layers.
        public var choices: Int
        public var overlap: Estimate
        public var sameSet: Estimate
        public var sameFirst: Estimate
        /// nats; nil where a trace has no router logits.
        public var divergence: Estimate?
        /// Empty where the first trace has no router logits.
        public var deciles: [Decile]
    }

    public struct Effect: Codable, Sendable, Equatable {
        public var group: GroupKey
        public var documents: Int
        public var tokens: Int
        /// Mean negative log-likelihood, nats per token.
        public var first: Double
        public var second: Double
        /// second − first; nil where the group has too few documents.
        public var difference: Estimate?
        public var pValue: Double?
    }

    public var sample: MetricSample
    /// Names of the two models.
    public var models: [String]
    public var layers: [Layer]
    public var deciles: [Decile]
    /// nil where no layer was compared.
    public var overall: Overall?
    /// The pooled effect first, then groups by name.
    public var effects: [Effect]

    private static let agreementColumns =
        MetricColumn.estimate("overlap", "mean share of a token's experts in both")
        + MetricColumn.estimate("same_set", "tokens with the same experts")
        + MetricColumn.estimate("same_first", "tokens with the same first choice")
        + MetricColumn.estimate("kl", unit: "nats", "mean KL of the router's probabilities")
    private static let decile = MetricColumn("decile", .integer, "1 has the smallest margins")
    private static let flips = MetricColumn.estimate("flips", "tokens whose experts differ")

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Agreement of \(models.joined(separator: " and ")), by layer",
                columns: [.layer, .tokens] + Self.agreementColumns,
                rows: layers.map {
                    [.integer($0.layer), .integer($0.tokens)] + $0.overlap.cells + $0.sameSet.cells + $0.sameFirst.cells
                        + $0.divergence.cells
                }),
            MetricTable(
                name: "agreement-margins", title: "Flips by margin of the first trace's choice",
                columns: [
                    .layer, Self.decile,
                    MetricColumn("margin_from", .real, "smallest margin of probability in the decile"),
                    MetricColumn("margin_to", .real, "largest margin of probability in the decile"), .tokens,
                ] + Self.flips,
                rows: deciles.map {
                    [
                        .integer($0.layer), .integer($0.decile), .real($0.lowerMargin), .real($0.upperMargin),
                        .integer($0.tokens),
                    ] + $0.flips.cells
                }),
            MetricTable(
                name: "agreement-overall", title: "Agreement over all layers",
                columns: [
                    MetricColumn("layers", .integer, "layers compared"),
                    MetricColumn("choices", .integer, "tokens times layers"),
                ] + Self.agreementColumns,
                rows: (overall.map { [$0] } ?? []).map {
                    [.integer($0.layers), .integer($0.choices)] + $0.overlap.cells + $0.sameSet.cells
                        + $0.sameFirst.cells + $0.divergence.cells
                }),
            MetricTable(
                name: "agreement-overall-margins", title: "Flips by margin over all layers",
                columns: [Self.decile, MetricColumn("choices", .integer, "tokens times layers")] + Self.flips,
                rows: (overall?.deciles ?? []).map {
                    [.integer($0.decile), .integer($0.tokens)] + $0.flips.cells
                }),
            likelihoodTable,
        ]
    }

    private var likelihoodTable: MetricTable {
        var table = PairedEffect.table(effects)
        table.name = "agreement-nll"
        return table
    }
}
