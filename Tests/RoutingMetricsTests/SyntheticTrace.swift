import Foundation
import RoutingMetrics
import Tensors
import Testing
import Traces

/// Traces drawn from a known process, as many as wanted: documents differ from each other, so that their tokens are not
/// independent, and groups differ where they are asked to.
struct SyntheticTrace {
    /// In memory where the system has such a folder: a thousand traces are written and thrown away.
    static let folder: URL = {
        let memory = URL(filePath: "/dev/shm")
        let usable = FileManager.default.isWritableFile(atPath: memory.path)
        return (usable ? memory : FileManager.default.temporaryDirectory)
            .appending(path: "moescope-synthetic-\(ProcessInfo.processInfo.processIdentifier)")
    }()

    static let groups = ["a", "b"]
    static let (layers, experts, vocabulary) = (2, 4, 12)

    var documentsPerGroup: Int
    /// Size of the difference between the groups' router logits.
    var groupEffect: Double
    var seed: Int

    /// Writes the trace, and one of the same tokens whose router logits and likelihoods differ a little, and opens both.
    /// - Parameter body: may use them until it returns.
    func with<Result>(_ body: (Trace, Trace) throws -> Result) throws -> Result {
        let folder = Self.folder.appending(path: "\(seed)-\(documentsPerGroup)-\(groupEffect)")
        defer { try? FileManager.default.removeItem(at: folder) }
        var numbers = Numbers(seed: seed)
        let documents = (0..<documentsPerGroup).flatMap { text in
            Self.groups.map { group in
                TraceDocument(
                    id: "\(group)\(text)", group: group, textSHA256: "", tokens: 18 + numbers.generator.below(24),
                    parallelID: "\(text)")
            }
        }
        let urls = ["first", "second"].map { folder.appending(path: $0) }
        let manifest = Self.manifest(documents)
        let writers = try urls.map { try TraceWriter(creating: $0, manifest: manifest) }
        // Shards of some documents each, as a run over a corpus writes them.
        for start in stride(from: 0, to: documents.count, by: 2000) {
            let part = Array(documents[start..<min(start + 2000, documents.count)])
            let shards = urls.map { _ in TraceShard(layout: TraceLayout(manifest), documents: part) }
            fill(shards, part, &numbers)
            for (writer, shard) in zip(writers, shards) { try writer.append(shard) }
        }
        for writer in writers { try writer.finish() }
        return try body(try Trace(folder: urls[0]), try Trace(folder: urls[1]))
    }

    private static func manifest(_ documents: [TraceDocument]) -> TraceManifest {
        TraceManifest(
            model: .init(
                name: "synthetic", architecture: "mixtral", layers: layers, experts: experts, expertsPerToken: 2,
                heads: 1,
                kvHeads: 1, hiddenSize: 8, vocabSize: vocabulary, quantization: "F32", parametersTotal: 1,
                parametersActive: 1, sha256: ""),
            tokenizer: .init(kind: .noTokenizer, sha256: ""),
            capture: .init(
                routerLogits: .f32, attentionSummary: true, layers: Array(0..<layers), predicted: true, speculative: [1]
            ),
            compute: .init(precision: "exact", isa: "none", threads: 1, version: "0"),
            corpus: .init(
                source: "synthetic", sha256: "", documents: documents.count,
                tokens: documents.reduce(0) { $0 + $1.tokens },
                groups: documents.reduce(into: [:]) { $0[$1.group, default: 0] += 1 }))
    }

    private func fill(_ shards: [TraceShard], _ documents: [TraceDocument], _ numbers: inout Numbers) {
        let E = Self.experts
        let n = shards[0].rowCount
        var row = 0
        for document in documents {
            let sign = document.group == Self.groups[0] ? 0.5 : -0.5
            // What this document does apart from its group.
            let own = (0..<E).map { _ in 0.35 * numbers.normal() }
            let (loss, shift) = (0.3 * numbers.normal(), 0.15 * numbers.normal())
            for position in 0..<document.tokens {
                let token = numbers.generator.below(Self.vocabulary)
                let last = position + 1 == document.tokens
                for shard in shards {
                    shard.tokens[row] = Int32(token)
                    shard.predicted[row] = last ? -1 : Int32(token * 5 % Self.vocabulary)
                }
                let likelihood = -1.5 - abs(numbers.normal()) + loss
                let change = shift + 0.3 * numbers.normal()
                shards[0].logprobs[row] = position == 0 ? .nan : Float(min(0, likelihood))
                shards[1].logprobs[row] = position == 0 ? .nan : Float(min(0, likelihood - change))
                var spread = 0.0
                for layer in 0..<Self.layers {
                    let z = (0..<E).map { (expert: Int) -> Double in
                        let effect = groupEffect * sign * Double(expert) / 2
                        let pattern = 0.4 * Double((token + expert + layer) % 3)
                        return own[expert] + effect + pattern + Self.place(position, layer, expert) + numbers.normal()
                    }
                    let moved = z.map { $0 + 0.4 * numbers.normal() }
                    put(z, shards[0], layer, row)
                    put(moved, shards[1], layer, row)
                    let guess = Self.best(moved).map(Int32.init)
                    for shard in shards where layer == 1 { guesses(guess, shard, row) }
                    spread += z[0]
                }
                for layer in 0..<Self.layers {
                    for statistic in AttentionStatistic.allCases {
                        let value = Float16(abs(1 + own[0] + 0.2 * spread + 0.5 * numbers.normal()))
                        for shard in shards {
                            shard.attention(statistic, layerIndex: layer)[row] = value.bitPattern
                        }
                    }
                }
                row += 1
            }
        }
        precondition(row == n)
    }

    private func put(_ logits: [Double], _ shard: TraceShard, _ layer: Int, _ row: Int) {
        for (expert, value) in logits.enumerated() {
            shard.routerLogits(layerIndex: layer)[row * Self.experts + expert] = Float(value)
        }
        let best = Self.best(logits)
        for slot in 0..<2 {
            shard.expertIndices(layerIndex: layer)[2 * row + slot] = UInt16(best[slot])
            let other = logits[best[1 - slot]] - logits[best[slot]]
            shard.expertWeights(layerIndex: layer)[2 * row + slot] = Float(1 / (1 + exp(other)))
        }
    }

    /// First tokens prefer expert 0, and in the last layer the others expert 1: load is uneven in the first layer, and close
    /// to even, where estimates of imbalance are hardest, in the last.
    private static func place(_ position: Int, _ layer: Int, _ expert: Int) -> Double {
        let isEarly = position < 16
        return isEarly && expert == 0 || !isEarly && layer == 1 && expert == 1 ? 0.5 : 0
    }

    private func guesses(_ guess: [Int32], _ shard: TraceShard, _ row: Int) {
        guess.withUnsafeBufferPointer { shard.setGuesses($0, ahead: 1, layer: 1, row: row) }
    }

    private static func best(_ logits: [Double]) -> [Int] {
        Array(logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }.prefix(2))
    }

    private struct Numbers {
        var generator: SeededGenerator

        init(seed: Int) { generator = SeededGenerator(seed: 11, stream: UInt64(seed)) }

        mutating func normal() -> Double {
            let u = Double(generator.next() >> 11) / 9_007_199_254_740_992 + 1e-300
            let v = Double(generator.next() >> 11) / 9_007_199_254_740_992
            return (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
        }
    }
}
