/// How often neighbouring tokens go to the same expert.
public struct RepetitionMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "repetition", title: "Repeated assignments of neighbouring tokens",
        formula:
            "P(e¹_i = e¹_{i+1}) and P(S_i ∩ S_{i+1} ≠ ∅); chance: the same in a random order of each document's tokens, for first "
            + "choices Σ_e n_e(n_e−1)/(n(n−1)) of a document's n tokens; ratio is observed over that, and its p-value asks whether the "
            + "sum of observed less expected over documents is zero. Beside it, two tokens drawn independently from all documents of the "
            + "group, and 1/E and 1 − C(E−K,K)/C(E,K) under uniform load",
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
        /// `first` against a random order of each document's tokens; nil where the group has too few documents, or a random
        /// order never repeats.
        public var firstShuffled: ChanceComparison?
        /// The same of `any`.
        public var anyShuffled: ChanceComparison?
        /// Under uniform load.
        public var chanceFirst: Double
        public var chanceAny: Double
        /// Two tokens drawn independently from all documents of the group: more than chance gives within a document, where
        /// documents differ.
        public var loadChanceFirst: Double?
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
                    + MetricColumn.estimate("any", "P(the two tokens share an expert)")
                    + MetricColumn.chance(
                        "_first", of: "first", "first in a random order of each document's tokens", forAll: "layers")
                    + MetricColumn.chance(
                        "_any", of: "any", "any in a random order of each document's tokens", forAll: "layers") + [
                        MetricColumn("chance_first", .real, "1/E"),
                        MetricColumn("chance_any", .real, "1 − C(E−K,K)/C(E,K)"),
                        MetricColumn(
                            "load_chance_first", .real, "two independent tokens of any of the documents: Σ p_e²"),
                        MetricColumn(
                            "load_chance_any", .real, "two independent tokens of any of the documents share an expert"
                        ),
                        .note,
                    ],
                rows: rows.map {
                    [.integer($0.layer)] + $0.group.cells + [.integer($0.documents), .integer($0.pairs)]
                        + $0.first.cells + $0.any.cells + $0.firstShuffled.cells + $0.anyShuffled.cells + [
                            .real($0.chanceFirst), .real($0.chanceAny), .optional($0.loadChanceFirst),
                            .real($0.loadChanceAny), Self.note($0),
                        ]
                })
        ]
    }

    private static func note(_ row: Row) -> MetricCell {
        if row.any == nil { return .text("too few documents") }
        return row.first == nil ? .text("the trace does not have the order of a token's experts") : .missing
    }

    /// All documents together, by layer.
    public var pooled: [Row] { rows.filter { $0.group.isPooled } }
    /// Layers where neighbours were found to have the same first expert more often than in a random order of each document's tokens.
    public var aboveChance: [Row] { pooled.filter { $0.firstShuffled?.isAbove ?? false } }
    /// Layers where they were found to have it less often.
    public var belowChance: [Row] { pooled.filter { $0.firstShuffled?.isBelow ?? false } }
    /// The layer that is quoted: of those above chance, the one whose interval ends highest above it.
    public var strongest: Row? {
        let above = aboveChance
        return above.compactMap(\.firstShuffled).strongest.map { above[$0] }
    }
}
