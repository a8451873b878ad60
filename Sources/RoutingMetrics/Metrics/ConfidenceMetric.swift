/// How decided the router is. Needs router logits.
public struct ConfidenceMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "confidence", title: "Router confidence",
        formula:
            "mean over tokens of H(π) in nats, π_(1) − π_(2) and π_(K) − π_(K+1), π = the router's probabilities, sorted: "
            + "softmax of its logits, or for sigmoid scores s / Σ s",
        source: "entropy: at most log E; a margin of choice K near 0 is a choice that rounding can flip")

    public struct Row: Codable, Sendable, Equatable {
        public var layer: Int
        public var group: GroupKey
        public var documents: Int
        public var tokens: Int
        /// nats; nil where the group has too few documents.
        public var entropy: Estimate?
        /// Probability of the first choice less that of the second.
        public var firstMargin: Estimate?
        /// Probability of choice K less that of choice K+1; nil too where K = E.
        public var choiceMargin: Estimate?
    }

    public var sample: MetricSample
    /// By layer; the pooled row first, then groups by name.
    public var rows: [Row]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: "confidence", title: "Router confidence",
                columns: [.layer] + MetricColumn.groupOrPooled + [.documents, .tokens]
                    + MetricColumn.estimate("entropy", unit: "nats", "mean entropy of the router's probabilities")
                    + MetricColumn.estimate("first_margin", "mean probability of choice 1 less choice 2")
                    + MetricColumn.estimate("choice_margin", "mean probability of choice K less choice K+1") + [.note],
                rows: rows.map {
                    [.integer($0.layer)] + $0.group.cells + [.integer($0.documents), .integer($0.tokens)]
                        + $0.entropy.cells + $0.firstMargin.cells + $0.choiceMargin.cells
                        + [$0.entropy == nil ? .text("too few documents") : .missing]
                })
        ]
    }
}
