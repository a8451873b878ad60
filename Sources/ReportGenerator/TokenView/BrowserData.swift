import FileFormats
import Foundation
import Traces

/// What the token browser shows: the tokens of some documents with their routing, packed small.
///
/// n tokens · L layers · E experts · K slots. Arrays are base64 of bytes: probabilities and weights in 255ths; surprise
/// (−log₂ p) in eighths of a bit, 255 where it is unknown.
struct BrowserData: Sendable {
    let json: JSON
    let tokenCount: Int
    let documentCount: Int

    /// Bytes per token of the page, base64 not counted.
    static func bytesPerToken(_ layout: TraceLayout) -> Int {
        let logits = layout.routerLogits == nil ? 0 : layout.experts
        return 3 + layout.layerCount * (logits + 2 * layout.expertsPerToken)
    }

    /// - Precondition: the layout's experts fit a byte.
    init(_ trace: Trace, sample: DocumentSample, names: GroupNames) throws(FileError) {
        let texts = try trace.tokenText() ?? TokenText(pieces: [], kind: .noTokenizer)
        var places: [Int32: Int] = [:]
        var pieces: [JSON] = []
        var documents: [JSON] = []
        var total = 0
        for (shardIndex, members) in Dictionary(grouping: sample.documents, by: { trace.documents[$0].shard }).sorted(
            by: { $0.key < $1.key })
        {
            let shard = try trace.shard(shardIndex)
            let routing = ShardRouting(shard)
            for index in members.sorted() {
                let document = trace.documents[index]
                let rows = document.firstRow..<document.firstRow + min(document.tokens, sample.tokensPerDocument)
                var ids: [UInt8] = []
                var surprise: [UInt8] = []
                for row in rows {
                    let token = shard.token[row]
                    var place = places[token] ?? -1
                    if place < 0 {
                        place = pieces.count
                        places[token] = place
                        pieces.append(Self.piece(token, texts))
                    }
                    ids.append(UInt8(truncatingIfNeeded: place))
                    ids.append(UInt8(truncatingIfNeeded: place >> 8))
                    let bits = -Double(shard.logprob[row]) / log(2)
                    surprise.append(bits.isFinite ? UInt8(min(254, max(0, (bits * 8).rounded()))) : 255)
                }
                let direction = Self.direction(rows.lazy.map { texts.inText(shard.token[$0]) }.dropFirst())
                documents.append([
                    "index": .int(index), "id": .string(document.id), "group": .string(document.group),
                    "name": .string(names.prose(document.group)),
                    "lang": names.language(document.group).map { .string($0) } ?? .null,
                    "dir": .string(direction),
                    "parallel": document.parallelID.map { .string($0) } ?? .null,
                    "length": .int(rows.count), "tokens": .int(document.tokens),
                    "ids": Self.packed(ids), "surprise": Self.packed(surprise),
                    "chosen": Self.packed(routing.chosen(rows)), "weights": Self.packed(routing.weights(rows)),
                    "probabilities": shard.hasRouterLogits ? Self.packed(routing.probabilities(rows)) : .null,
                ])
                total += rows.count
            }
        }
        tokenCount = total
        documentCount = documents.count
        var facts: JSON = [
            "layers": .array(trace.layout.layers.map { .int($0) }), "experts": .int(trace.layout.experts),
            "slots": .int(trace.layout.expertsPerToken), "pieces": .array(pieces), "documents": .array(documents),
        ]
        if ShardRouting.needsTwoBytes(trace.layout) { facts = facts.merging(["wide": .bool(true)]) }
        let most = ShardRouting.mostWeight(trace.layout)
        if most > 1 { facts = facts.merging(["mostWeight": .double(Double(most))]) }
        json = facts
    }

    /// [text in its place, id], and the text by itself where that differs.
    private static func piece(_ token: Int32, _ texts: TokenText) -> JSON {
        let (inText, alone) = (texts.inText(token), texts.alone(token))
        return .array([.string(inText), .int(Int(token))] + (inText == alone ? [] : [.string(alone)]))
    }

    /// "rtl" where the first letter that has a direction is Hebrew, Arabic or a relative, otherwise "ltr".
    private static func direction(_ texts: some Sequence<String>) -> String {
        for text in texts {
            for scalar in text.unicodeScalars where scalar.properties.isAlphabetic {
                switch scalar.value {
                case 0x0590...0x08FF, 0xFB1D...0xFDFF, 0xFE70...0xFEFF, 0x10800...0x10FFF, 0x1E800...0x1EFFF:
                    return "rtl"
                default: return "ltr"
                }
            }
        }
        return "ltr"
    }

    static func packed(_ bytes: [UInt8]) -> JSON { .string(Data(bytes).base64EncodedString()) }
}

/// The routing arrays of one shard, every captured layer, in memory.
struct ShardRouting {
    let layout: TraceLayout
    /// Per layer: [n, K], [n, K], [n, E].
    private var indices: [[UInt16]] = []
    private var mixing: [[Float]] = []
    private var logits: [[Float]] = []

    init(_ shard: MappedShard) {
        layout = shard.layout
        for layer in 0..<layout.layerCount {
            var layerIndices: [UInt16] = []
            var layerWeights: [Float] = []
            var layerLogits: [Float] = []
            shard.readExpertIndices(layerIndex: layer, into: &layerIndices)
            shard.readExpertWeights(layerIndex: layer, into: &layerWeights)
            if shard.hasRouterLogits { shard.readRouterLogits(layerIndex: layer, into: &layerLogits) }
            indices.append(layerIndices)
            mixing.append(layerWeights)
            logits.append(layerLogits)
        }
    }

    /// [L, n, K]; 255 where a slot has no expert.
    func chosen(_ rows: Range<Int>) -> [UInt8] {
        let K = layout.expertsPerToken
        guard Self.needsTwoBytes(layout) else {
            return indices.flatMap { layer in
                layer[rows.lowerBound * K..<rows.upperBound * K].map { Int($0) < layout.experts ? UInt8($0) : 255 }
            }
        }
        return indices.flatMap { layer in
            layer[rows.lowerBound * K..<rows.upperBound * K].flatMap { expert in
                let number = Int(expert) < layout.experts ? Int(expert) : 65_535
                return [UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: number >> 8)]
            }
        }
    }

    /// Whether numbers of experts take two bytes, the lower first; the largest number stands for none.
    static func needsTwoBytes(_ layout: TraceLayout) -> Bool { layout.experts > 255 }

    /// What weights are in 255ths of: 1, or what the router multiplies them with in the end.
    static func mostWeight(_ layout: TraceLayout) -> Float { max(1, layout.router.weigh.scale) }

    /// [L, n, K]: weights in 255ths of `mostWeight`.
    func weights(_ rows: Range<Int>) -> [UInt8] {
        let K = layout.expertsPerToken
        let most = Self.mostWeight(layout)
        return mixing.flatMap { layer in
            layer[rows.lowerBound * K..<rows.upperBound * K].map { Self.byte($0 / most) }
        }
    }

    /// [L, n, E]: the model's own distribution over experts.
    func probabilities(_ rows: Range<Int>) -> [UInt8] {
        let E = layout.experts
        var bytes: [UInt8] = []
        bytes.reserveCapacity(layout.layerCount * rows.count * E)
        for layer in logits {
            for row in rows {
                for share in layout.router.distribution(layer[row * E..<(row + 1) * E]) {
                    bytes.append(Self.byte(Float(share)))
                }
            }
        }
        return bytes
    }

    private static func byte(_ share: Float) -> UInt8 {
        share.isFinite ? UInt8(min(255, max(0, (share * 255).rounded()))) : 0
    }
}
