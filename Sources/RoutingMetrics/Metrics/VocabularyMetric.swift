import Foundation
import Traces

/// Which tokens go to which expert.
public struct VocabularyMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "vocabulary", title: "Vocabulary specialization",
        formula:
            "n(x,e)/n(x) for the input token x, for the next token, and for the predicted one (the most probable next token, "
            + "where the trace has it: --capture predicted); "
            + "specialization = Σ_x n(x) max_e n(x,e)/n(x) / Σ_x n(x) over tokens with the minimum count, uniform is at least K/E",
        source: "OLMoE (arXiv 2409.02060), section 5.4")

    public enum Side: String, Codable, Sendable, CaseIterable {
        case input
        case next
        case predicted
    }

    public struct Token: Codable, Sendable, Equatable {
        public var layer: Int
        public var side: Side
        public var expert: Int
        /// 1 is the expert's most exclusive token.
        public var rank: Int
        public var token: Int
        /// As a person reads it ("␣der", "⏎"), where the trace has the vocabulary.
        public var text: String?
        /// n(x,e)
        public var count: Int
        /// n(x)
        public var total: Int
        public var share: Double
    }

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var side: Side
        /// Token ids with the minimum count, and their occurrences.
        public var tokenIds: Int
        public var occurrences: Int
        /// Mean over occurrences of the share of the token's favourite expert.
        public var specialization: Double
        /// Bits: I(token; expert) over these assignments, Miller–Madow corrected.
        public var information: Double
    }

    public var sample: MetricSample
    public var layers: [Layer]
    /// The ten most exclusive tokens of each expert, by layer, side, expert.
    public var tokens: [Token]

    static let tokensPerExpert = 10

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "The most exclusive tokens of each expert",
                columns: [
                    .layer, MetricColumn("side", .text, "the row's own token, the next, or the predicted one"), .expert,
                    MetricColumn("rank", .integer, "1 is the most exclusive"),
                    MetricColumn("token", .integer, "token id"),
                    MetricColumn("text", .text, "the token as a reader sees it: ␣ is a space, ⏎ a line break"),
                    MetricColumn("count", .integer, "occurrences routed to the expert"),
                    MetricColumn("total", .integer, "occurrences"), MetricColumn("share", .real, "count/total"),
                ],
                rows: tokens.map {
                    [
                        .integer($0.layer), .text($0.side.rawValue), .integer($0.expert), .integer($0.rank),
                        .integer($0.token), .optional($0.text), .integer($0.count), .integer($0.total),
                        .real($0.share),
                    ]
                }),
            MetricTable(
                name: "vocabulary-layers", title: "Vocabulary specialization by layer",
                columns: [
                    .layer, MetricColumn("side", .text, "the row's own token, the next, or the predicted one"),
                    MetricColumn("token_ids", .integer, "token ids with the minimum count"),
                    MetricColumn("occurrences", .integer, "their occurrences"),
                    MetricColumn("specialization", .real, "mean share of a token's favourite expert"),
                    MetricColumn("information", .real, unit: "bits", "I(token; expert), Miller–Madow corrected"),
                ],
                rows: layers.map {
                    [
                        .integer($0.layer), .text($0.side.rawValue), .integer($0.tokenIds), .integer($0.occurrences),
                        .real($0.specialization), .real($0.information),
                    ]
                }),
        ]
    }

    public static func compute(_ input: MetricInput) throws(MetricError) -> VocabularyMetric {
        let text = try? input.trace.tokenText()
        var layers: [Layer] = []
        var tokens: [Token] = []
        let predicted = input.trace.layout.predicted
        let numbering = try TokenNumbering(input, definition.name, predicted: predicted)
        // One layer at a time: its table is token ids × experts.
        for layer in input.layers {
            for side in Side.allCases where side != .predicted || predicted {
                let table = try TokenTable(input, layer, side: side, numbering)
                let (summary, top) = table.summary(minimumCount: input.settings.minimumCount)
                layers.append(summary)
                tokens += top.map { token in
                    var token = token
                    token.text = text?.alone(token.token)
                    return token
                }
            }
        }
        return VocabularyMetric(sample: input.sample, layers: layers, tokens: tokens)
    }
}

/// n(x, e) of one layer. It reads the shards again, layer by layer: a table of token ids × experts for every layer at once may not
/// fit memory.
private struct TokenTable {
    let layer: LayerCounts
    let side: VocabularyMetric.Side
    let numbering: TokenNumbering
    /// [V, E], for the V numbered token ids.
    var counts: [Int32]
    /// [V]
    var totals: [Int32]

    init(
        _ input: MetricInput, _ layer: LayerCounts, side: VocabularyMetric.Side, _ numbering: TokenNumbering
    ) throws(MetricError) {
        self.layer = layer
        self.side = side
        self.numbering = numbering
        let V = numbering.ids.count
        let E = layer.experts
        let K = layer.slots
        var counts = [Int32](repeating: 0, count: V * E)
        var totals = [Int32](repeating: 0, count: V)
        var chosen: [UInt16] = []
        var predicted: [Int32] = []
        try input.forEachShard(VocabularyMetric.definition.name) { shard in
            shard.readExpertIndices(layerIndex: layer.layerIndex, into: &chosen)
            if side == .predicted { shard.readPredicted(into: &predicted) }
            for document in shard.documents {
                let rows = input.rows(document)
                for row in side == .input ? rows : rows.dropLast() {
                    let id =
                        switch side {
                        case .input: shard.token[row]
                        case .next: shard.token[row + 1]
                        case .predicted: predicted[row]
                        }
                    guard let token = numbering(id) else { continue }
                    totals[token] += 1
                    for slot in row * K..<(row + 1) * K where Int(chosen[slot]) < E {
                        counts[token * E + Int(chosen[slot])] += 1
                    }
                }
            }
        }
        self.counts = counts
        self.totals = totals
    }

    func summary(minimumCount: Int) -> (VocabularyMetric.Layer, [VocabularyMetric.Token]) {
        let E = layer.experts
        let kept = totals.indices.filter { totals[$0] > 0 && Int(totals[$0]) >= minimumCount }
        var occurrences = 0
        var favourites = 0.0
        var table: [Double] = []
        for token in kept {
            let row = counts[token * E..<(token + 1) * E]
            occurrences += Int(totals[token])
            favourites += Double(row.max() ?? 0)
            table.append(contentsOf: row.map(Double.init))
        }
        let information = table.withUnsafeBufferPointer { TableInformation($0, rows: kept.count, columns: E).corrected }
        let summary = VocabularyMetric.Layer(
            layer: layer.layer, side: side, tokenIds: kept.count, occurrences: occurrences,
            specialization: occurrences > 0 ? favourites / Double(occurrences) : 0, information: information / log(2))
        var tokens: [VocabularyMetric.Token] = []
        for expert in 0..<E {
            // The most exclusive first; the more frequent where equal.
            let ordered = kept.filter { counts[$0 * E + expert] > 0 }.sorted { a, b in
                let (left, right) = (
                    Double(counts[a * E + expert]) / Double(totals[a]),
                    Double(counts[b * E + expert]) / Double(totals[b])
                )
                return left != right ? left > right : totals[a] != totals[b] ? totals[a] > totals[b] : a < b
            }
            for (rank, token) in ordered.prefix(VocabularyMetric.tokensPerExpert).enumerated() {
                let count = Int(counts[token * E + expert])
                tokens.append(
                    .init(
                        layer: layer.layer, side: side, expert: expert, rank: rank + 1,
                        token: Int(numbering.ids[token]), text: nil,
                        count: count, total: Int(totals[token]), share: Double(count) / Double(totals[token])))
            }
        }
        return (summary, tokens)
    }
}
