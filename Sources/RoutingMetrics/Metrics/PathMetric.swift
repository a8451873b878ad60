import Foundation
import Traces

/// How a token's experts in one layer go with its experts in the next.
public struct PathMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "paths", title: "Layer-to-layer paths",
        formula: "n(e¹_l, e¹_{l+1}) of first choices; I between neighbouring layers, Miller–Madow corrected, in bits; "
            + "beside it, the information that the documents' load alone gives, each layer's choices in a random order of the document's "
            + "tokens; the most frequent sequences of first choices over all layers, beside Σ_d n_d Π_l p_dl(e) / N, their share if layers "
            + "were independent within each document, and Π_l p_l(e), if they were so in all documents together",
        source: "transition counts; compare OLMoE (arXiv 2409.02060) and Read-ME (arXiv 2410.19123)")

    public struct Transition: Codable, Sendable, Equatable {
        public var layer: Int
        public var nextLayer: Int
        public var expert: Int
        public var nextExpert: Int
        public var count: Int
        /// count / tokens whose first choice in `layer` is `expert`
        public var share: Double
    }

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var nextLayer: Int
        /// Bits; nil where there are too few tokens for the pairs of experts that occur.
        public var information: Estimate?
        /// information over the smaller of the two entropies
        public var share: Estimate?
        /// Bits: information of the table that the documents' load alone gives.
        public var documentChance: Double
    }

    public struct Path: Codable, Sendable, Equatable {
        public var rank: Int
        /// First choice in every layer, in order.
        public var experts: [Int]
        public var count: Int
        public var share: Double
        /// Σ_d n_d Π_l p_dl(e) / N: share if layers were independent within each document.
        public var independent: Double
        /// `share` over `independent`, with bounds for all paths shown at once; nil where independent layers never take the path.
        public var ratio: Estimate?
        /// Π_l p_l(e): share if layers were independent in all documents together.
        public var pooledIndependent: Double
        /// The most frequent input token of those that take the path.
        public var token: Int
        /// As a person reads it ("␣der", "⏎"), where the trace has the vocabulary.
        public var tokenText: String?
        /// Share of the tokens of the path that are this one.
        public var tokenShare: Double
    }

    public var sample: MetricSample
    public var transitions: [Transition]
    public var layers: [Layer]
    /// The most frequent, at most 50.
    public var paths: [Path]
    /// Whether rare paths had to be dropped while counting; counts shown may then be a little low.
    public var isApproximate: Bool

    static let pathsShown = 50
    /// Tokens for each pair of experts that occurs, on average, where information between layers is estimated.
    static let tokensPerPair = 5

    public var tables: [MetricTable] {
        let next = MetricColumn("next_layer", .integer, "the layer after it")
        return [
            MetricTable(
                name: Self.definition.name, title: "Transitions of first choices between neighbouring layers",
                columns: [
                    .layer, next, .expert, MetricColumn("next_expert", .integer, "first choice in the next layer"),
                    MetricColumn("count", .integer, unit: "tokens", "tokens that take both"),
                    MetricColumn("share", .real, "of the tokens at the first expert"),
                ],
                rows: transitions.map {
                    [
                        .integer($0.layer), .integer($0.nextLayer), .integer($0.expert), .integer($0.nextExpert),
                        .integer($0.count), .real($0.share),
                    ]
                }),
            MetricTable(
                name: "paths-layers", title: "Information between neighbouring layers",
                columns: [.layer, next]
                    + MetricColumn.estimate(
                        "information", unit: "bits", "I(first choice; next layer's first choice)", forAll: "layers")
                    + MetricColumn.estimate("share", "information over the smaller entropy", forAll: "layers") + [
                        MetricColumn(
                            "chance_document", .real, unit: "bits",
                            "information if each layer's choices were in a random order of the document's tokens"),
                        .note,
                    ],
                rows: layers.map {
                    [.integer($0.layer), .integer($0.nextLayer)] + $0.information.cells + $0.share.cells + [
                        .real($0.documentChance),
                        $0.information == nil
                            ? .text("fewer than \(Self.tokensPerPair) tokens for each pair of experts that occurs")
                            : .missing,
                    ]
                }),
            MetricTable(
                name: "paths-frequent", title: "The most frequent paths through all layers",
                columns: [
                    MetricColumn("rank", .integer, "1 is the most frequent"),
                    MetricColumn("path", .text, "first choice in every layer, in order"),
                    MetricColumn("count", .integer, unit: "tokens", "tokens that take it"),
                    MetricColumn("share", .real, "of all tokens"),
                    MetricColumn("independent", .real, "share if layers were independent within each document"),
                ] + MetricColumn.estimate("ratio", "share over independent", forAll: "rows") + [
                    MetricColumn(
                        "independent_pooled", .real, "share if layers were independent in all documents together"),
                    MetricColumn("token", .integer, "id of the most frequent input token of those that take it"),
                    MetricColumn("text", .text, "that token as a reader sees it: ␣ is a space, ⏎ a line break"),
                    MetricColumn("token_share", .real, "share of the tokens that take it that are this token"),
                ],
                rows: paths.map {
                    [
                        .integer($0.rank), .text($0.experts.map(String.init).joined(separator: "-")),
                        .integer($0.count),
                        .real($0.share), .real($0.independent),
                    ] + $0.ratio.cells + [
                        .real($0.pooledIndependent), .integer($0.token),
                        .optional($0.tokenText), .real($0.tokenShare),
                    ]
                }),
        ]
    }
}
