import Foundation
import FileFormats
import Tensors
import Traces

/// Does routing follow the place in the text, and is what groups differ in still there without such places?
public struct PositionMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "positions", title: "Places in the text",
        formula:
            "of sentence starts (the first counted token; a token that begins a word after . ! ? … or a line break), of the first 16 "
            + "counted tokens of a document, and of all others: I(G;E) as in \"information\" over these tokens alone; JSD of their shares "
            + "n(e)/Σn(e) from those of the remaining tokens, all groups together",
        source: "control for position; compare first-token effects in attention sinks (arXiv 2309.17453)")

    public enum Place: String, Codable, Sendable, CaseIterable {
        case all
        case sentenceStart = "sentence start"
        case elsewhere = "elsewhere in sentences"
        case early = "first 16 tokens"
        case later = "later"

        /// Whether tokens of these kinds belong to it.
        func contains(start: Bool, early isEarly: Bool) -> Bool {
            switch self {
            case .all: true
            case .sentenceStart: start
            case .elsewhere: !start
            case .early: isEarly
            case .later: !isEarly
            }
        }
    }

    public struct Row: Codable, Sendable, Equatable {
        public var layer: Int
        public var place: Place
        public var documents: Int
        public var tokens: Int
        /// Bits; nil where there are no two groups with enough documents.
        public var information: Estimate?
        /// nats, from all other tokens; nil for "all".
        public var divergence: Estimate?
    }

    public var sample: MetricSample
    /// By layer and place. Without the text of tokens in the trace, sentences are left out.
    public var rows: [Row]

    /// How many tokens are "first".
    public static let earlyTokens = 16

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Routing by place in the text",
                columns: [
                    .layer, MetricColumn("place", .text, "which tokens"),
                    MetricColumn("documents", .integer, unit: "documents", "documents that have such tokens"), .tokens,
                ]
                    + MetricColumn.estimate(
                        "information", unit: "bits", "I(group; expert) over these tokens, Miller–Madow corrected")
                    + MetricColumn.estimate("divergence", unit: "nats", "JSD from the remaining tokens; at most ln 2")
                    + [.note],
                rows: rows.map {
                    [.integer($0.layer), .text($0.place.rawValue), .integer($0.documents), .integer($0.tokens)]
                        + $0.information.cells + $0.divergence.cells
                        + [$0.information == nil ? .text("too few documents or groups") : .missing]
                })
        ]
    }

    /// Reads the shards again: no other metric counts by place in the text.
    public static func compute(_ input: MetricInput) throws(MetricError) -> PositionMetric {
        let starts = input.trace.layout.hasTokens ? (try? input.trace.tokenText()).map(SentenceStarts.init) : nil
        let places = Place.allCases.filter { starts != nil || ($0 != .sentenceStart && $0 != .elsewhere) }
        let E = input.sample.experts
        let C = 4 * (E + 1)
        let tables = DocumentSums(layers: input.layers.count, size: input.tokens.count * C)
        let K = input.sample.expertsPerToken
        try input.forEachShard(definition.name) { shard in
            // The kind of every row: 1 for a sentence's start, plus 2 for the first tokens; the same in all layers.
            var kinds = [UInt8](repeating: 0, count: shard.rowCount)
            for document in shard.documents {
                let rows = input.rows(document)
                for row in rows {
                    let isStart =
                        row == rows.lowerBound || starts?.begins(shard.token[row], shard.token[row - 1]) ?? false
                    kinds[row] = (isStart ? 1 : 0) + (row - rows.lowerBound < earlyTokens ? 2 : 0)
                }
            }
            let kindOf = kinds
            Parallel.forEach(input.layers.count, threads: input.settings.threads) { place in
                var chosen: [UInt16] = []
                shard.readExpertIndices(layerIndex: input.layers[place].layerIndex, into: &chosen)
                let values = tables.values[place]
                for document in shard.documents {
                    for row in input.rows(document) {
                        let start = document.index * C + Int(kindOf[row]) * (E + 1)
                        for slot in row * K..<(row + 1) * K where Int(chosen[slot]) < E {
                            values[start + Int(chosen[slot])] += 1
                        }
                        values[start + E] += 1
                    }
                }
            }
        }
        let rows = input.perLayer { index, layer, settings in
            let values = Array(tables.values[index])
            return places.map { row(input, layer, values, $0, settings) }
        }
        return PositionMetric(sample: input.sample, rows: rows.flatMap(\.self))
    }

    /// - Parameter values: [D, 4, E + 1]: assignments and tokens, by kind of row.
    private static func row(
        _ input: MetricInput, _ layer: LayerCounts, _ values: [Double], _ place: Place, _ settings: MetricSettings
    ) -> Row {
        let E = input.sample.experts
        // Columns per document: E assignments of the place's tokens, E of the others, and the place's tokens.
        let C = 2 * E + 1
        var folded = [Double](repeating: 0, count: input.tokens.count * C)
        var documents = [Bool](repeating: false, count: input.tokens.count)
        for document in input.tokens.indices {
            for kind in 0..<4 {
                let isInside = place.contains(start: kind & 1 != 0, early: kind & 2 != 0)
                let source = (document * 4 + kind) * (E + 1)
                for e in 0..<E { folded[document * C + (isInside ? e : E + e)] += values[source + e] }
                if isInside { folded[document * C + 2 * E] += values[source + E] }
            }
            documents[document] = folded[document * C + 2 * E] > 0
        }
        let table = input.table(columns: C, values: folded)
        let part = Place.allCases.firstIndex(of: place) ?? 0
        var divergence: Estimate?
        if place != .all {
            let G = table.groupCount
            divergence = Bootstrap(
                table, settings: settings, stream: input.stream(definition.name, layer, part), width: 1,
                interval: { _ in .debiased }
            ) { sums, results in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * E) { both in
                    both.initialize(repeating: 0)
                    for g in 0..<G { for i in 0..<2 * E { both[i] += sums[g * C + i] } }
                    results[0] = jensenShannon(
                        UnsafeBufferPointer(rebasing: both[0..<E]), UnsafeBufferPointer(rebasing: both[E...]))
                }
            }.estimate(0, within: 0...log(2.0))
        }
        let large = input.groups.indices.filter { group in
            let own = input.groupOf.indices.reduce(0) { $0 + (input.groupOf[$1] == group && documents[$1] ? 1 : 0) }
            return own >= max(2, input.settings.minimumDocuments)
        }
        var information: Estimate?
        if large.count > 1 {
            let G = large.count
            let bootstrap = Bootstrap(
                table.restricted(to: large), settings: settings,
                stream: input.stream(definition.name, layer, 100 + part), width: 2, interval: { _ in .debiased }
            ) { sums, results in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: G * E) { own in
                    for g in 0..<G { for e in 0..<E { own[g * E + e] = sums[g * C + e] } }
                    let information = TableInformation(UnsafeBufferPointer(own), rows: G, columns: E)
                    results[0] = information.plugIn / log(2)
                    results[1] = information.corrected / log(2)
                }
            }
            information = bootstrap.estimate(0, value: max(0, bootstrap.values[1]), within: 0...Double.infinity)
        }
        let sums = table.sums
        return Row(
            layer: layer.layer, place: place, documents: documents.reduce(0) { $0 + ($1 ? 1 : 0) },
            tokens: Int((0..<table.groupCount).reduce(0) { $0 + sums[$1 * C + 2 * E] }), information: information,
            divergence: divergence)
    }
}

/// Which tokens begin a sentence, as far as the tokens of a vocabulary tell.
struct SentenceStarts {
    private let ends: [Bool]
    private let breaks: [Bool]
    private let beginsWord: [Bool]

    init(_ vocabulary: TokenText) {
        let closing = Set("\"'”’»)] ")
        let texts = vocabulary.pieces.indices.map { String(decoding: vocabulary.bytes($0) ?? [], as: UTF8.self) }
        ends = texts.map { text in
            text.last { !closing.contains($0) }.map { ".!?…。！？".contains($0) } ?? false
        }
        breaks = texts.map { $0.unicodeScalars.last == "\n" }
        beginsWord = texts.map { $0.first == " " }
    }

    /// - Parameters:
    ///   - token: the token asked about.
    ///   - before: the one before it.
    func begins(_ token: Int32, _ before: Int32) -> Bool {
        guard ends.indices.contains(Int(before)), ends.indices.contains(Int(token)) else { return false }
        return breaks[Int(before)] && !breaks[Int(token)] || ends[Int(before)] && beginsWord[Int(token)]
    }
}
