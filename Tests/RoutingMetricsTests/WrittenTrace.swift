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
        let layers = documents[0].sets.count
        let K = documents[0].sets[0][0].count
        let items = documents.enumerated().map { index, document in
            TraceDocument(
                id: "\(index)", group: document.group, textSHA256: "", tokens: document.sets[0].count,
                cluster: document.cluster)
        }
        let manifest = TraceManifest.synthetic(
            items, layers: layers, experts: experts, slots: K, vocabulary: 8,
            capture: .init(
                routerLogits: nil, layers: Array(0..<layers), speculative: documents[0].guesses == nil ? [] : [1]))
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
        return try Scratch.withTrace(manifest, shard) { try body(try MetricInput($0, settings: settings)) }
    }
}
