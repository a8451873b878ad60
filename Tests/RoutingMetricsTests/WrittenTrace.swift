import Calibration
import Foundation
import RoutingMetrics
import Testing
import Traces

/// A trace whose choices are written down: documents of tokens, each with its experts in every layer.
struct WrittenTrace {
    struct Document {
        var group = "a"
        /// Documents of one cluster are one unit.
        var cluster: String?
        /// [layers][tokens][K]
        var sets: [[[Int]]]
        /// Guessed one layer ahead, of every layer but the first: [layers][tokens][K].
        var guesses: [[[Int]]]?
    }

    var experts: Int
    var documents: [Document]

    /// Writes the trace, counts it and throws it away; every token counts.
    func with<Result>(
        _ settings: MetricSettings = MetricSettings(
            skippedPositions: 0, bootstrap: 50, permutations: 0, minimumDocuments: 2),
        _ body: (MetricInput) throws -> Result
    ) throws -> Result {
        let folder = Scratch.newFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let layers = documents[0].sets.count
        let K = documents[0].sets[0][0].count
        let items = documents.enumerated().map { index, document in
            TraceDocument(
                id: "\(index)", group: document.group, textSHA256: "", tokens: document.sets[0].count,
                cluster: document.cluster)
        }
        let manifest = TraceManifest(
            model: .init(
                name: "written", architecture: "mixtral", layers: layers, experts: experts, expertsPerToken: K,
                heads: 1,
                kvHeads: 1, hiddenSize: 8, vocabSize: 8, quantization: "F32", parametersTotal: 1, parametersActive: 1,
                sha256: ""),
            tokenizer: .init(kind: .noTokenizer, sha256: ""),
            capture: .init(
                routerLogits: nil, layers: Array(0..<layers), speculative: documents[0].guesses == nil ? [] : [1]),
            compute: .init(precision: "exact", isa: "none", threads: 1, version: "0"),
            corpus: .init(
                source: "written", sha256: "", documents: items.count, tokens: items.reduce(0) { $0 + $1.tokens },
                groups: items.reduce(into: [:]) { $0[$1.group, default: 0] += 1 }))
        let shard = TraceShard(layout: TraceLayout(manifest), documents: items)
        var row = 0
        for document in documents {
            for token in document.sets[0].indices {
                shard.tokens[row] = Int32(token % 8)
                shard.logprobs[row] = token == 0 ? .nan : -1
                for layer in 0..<layers {
                    for slot in 0..<K {
                        shard.expertIndices(layerIndex: layer)[row * K + slot] = UInt16(
                            document.sets[layer][token][slot])
                        shard.expertWeights(layerIndex: layer)[row * K + slot] = Float(1) / Float(K)
                    }
                    guard layer > 0, let guesses = document.guesses else { continue }
                    guesses[layer][token].map(Int32.init).withUnsafeBufferPointer {
                        shard.setGuesses($0, ahead: 1, layer: layer, row: row)
                    }
                }
                row += 1
            }
        }
        let writer = try TraceWriter(creating: folder, manifest: manifest)
        try writer.append(shard)
        try writer.finish()
        return try body(try MetricInput(try Trace(folder: folder), settings: settings))
    }
}
