/// How well a token's set of experts tells its group, where the group's model knows other documents only.
public struct DecodingMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "decoding", title: "Decoding the group from the experts",
        formula:
            "gain = mean log₂ q(g|S) − log₂ π_g over the tokens of held-out documents, at most I(G;S) but for chance; q(g|S) ∝ π_g p(S|g)^β, π_g: the "
            + "groups' shares of tokens, p(S|g): naive Bayes on which K experts are in the set S, fitted on the other folds, β: chosen on the "
            + "other folds; accuracy: of the group with the largest Σ log p(S|g) over consecutive tokens, mean over groups; chance: 1/G",
        source:
            "variational bound: Barber & Agakov 2003; naive Bayes given K: Chen, Dempster & Liu 1994; five folds of whole documents, parallel sets "
            + "or clusters")

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        /// Documents scored: of a large trace, evenly spread ones of each group.
        public var documents: Int
        public var tokens: Int
        /// What was left out of the fit in turn.
        public var folds: Int
        /// Bits per token: below 0 where the model misleads.
        public var gain: Estimate
        /// H(G) in bits, over the tokens scored.
        public var groupEntropy: Double
        /// gain / groupEntropy
        public var share: Estimate
        /// β, mean over folds: below 1 where the experts of a set repeat each other's evidence, 0 where they tell nothing.
        public var exponent: Double
        /// One for each of `windowLengths`.
        public var windows: [Window]
        public var note: String?

        /// Accuracy after so many tokens of a document.
        public func accuracy(after tokens: Int) -> Estimate? { windows.first { $0.length == tokens }?.accuracy }
    }

    /// So many consecutive tokens of a document, which do not overlap.
    public struct Window: Codable, Sendable, Equatable {
        public var length: Int
        public var windows: Int
        /// Mean over groups of the share of windows whose group is told; nil where a group has few windows.
        public var accuracy: Estimate?
        public var note: String?
    }

    /// Consecutive tokens that are decoded together.
    public static let windowLengths = [1, 5, 20, 100]
    /// A group with fewer windows has no accuracy.
    static let fewestWindows = 20
    /// Tokens of one layer that are scored.
    static let tokenBudget = 1_000_000
    /// Tokens of one layer on which β is chosen.
    static let calibrationTokens = 20_000
    /// Tokens on which β is chosen times groups times layers, at most.
    static let calibrationWork = 4_000_000
    /// Values of β.
    static let exponents = (0...15).map { Double($0) / 10 }

    public var sample: MetricSample
    /// Names of the groups that are told apart.
    public var groups: [String]
    public var layers: [Layer]

    /// 1/G
    public var chance: Double { 1 / Double(groups.count) }

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "What held-out decoding of the set of experts tells about the group",
                columns: [
                    .layer, .documents, .tokens,
                    MetricColumn("folds", .integer, "folds of documents, each scored by the others' model"),
                ]
                    + MetricColumn.estimate(
                        "gain", unit: "bits",
                        "mean log₂ q(group|set) − log₂ share of the group: at most the information")
                    + [MetricColumn("group_entropy", .real, unit: "bits", "H(group) over tokens")]
                    + MetricColumn.estimate("share", "gain over group_entropy")
                    + [MetricColumn("exponent", .real, "β, mean over folds"), .note],
                rows: layers.map {
                    [.integer($0.layer), .integer($0.documents), .integer($0.tokens), .integer($0.folds)]
                        + $0.gain.cells
                        + [.real($0.groupEntropy)] + $0.share.cells + [.real($0.exponent), .optional($0.note)]
                }),
            MetricTable(
                name: "decoding-windows", title: "How often the group is told from the experts of consecutive tokens",
                columns: [
                    .layer, MetricColumn("length", .integer, unit: "tokens", "consecutive tokens of a document"),
                    MetricColumn("windows", .integer, "windows of this length that do not overlap"),
                ]
                    + MetricColumn.estimate("accuracy", "share of windows whose group is told, mean over groups")
                    + [MetricColumn("chance", .real, "1 over the number of groups"), .note],
                rows: layers.flatMap { layer in
                    layer.windows.map { window in
                        [.integer(layer.layer), .integer(window.length), .integer(window.windows)]
                            + window.accuracy.cells + [.real(chance), .optional(window.note)]
                    }
                }),
        ]
    }
}
