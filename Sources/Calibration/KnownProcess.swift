import Foundation
import RoutingMetrics
import Tensors
import Traces

/// A process whose traces have everything that can be recorded, and whose quantities are known: what a very long trace of it says. Groups
/// differ always by the same; documents differ from each other, so that their tokens are not independent, and so do clusters.
package struct KnownProcess: Sendable {
    private static let groups = ["a", "b"]
    private static let (layers, experts, vocabulary) = (2, 4, 12)

    package let name: String
    package let about: String
    /// Parallel texts, each in all groups; or, with `clusterSizes`, clusters of each group.
    package var units: Int
    /// Size of the difference between the groups' router logits.
    package var groupEffect: Double
    /// Standard deviation of the logarithm of documents' lengths; 0: 18 to 41 tokens, all equally likely.
    var lengthSpread = 0.0
    /// Documents of each cluster, all numbers equally likely; nil: there are no clusters, and texts are parallel.
    var clusterSizes: ClosedRange<Int>?

    package init(
        _ name: String, _ about: String = "", units: Int, groupEffect: Double = 0.8, lengthSpread: Double = 0,
        clusterSizes: ClosedRange<Int>? = nil
    ) {
        self.name = name
        self.about = about
        self.units = units
        self.groupEffect = groupEffect
        self.lengthSpread = lengthSpread
        self.clusterSizes = clusterSizes
    }

    /// What intervals are judged on.
    package static let all: [KnownProcess] =
        [5, 15, 80].flatMap { documents in
            [
                KnownProcess(
                    "\(documents) documents", "\(documents) documents per group, of 18 to 41 tokens", units: documents),
                KnownProcess(
                    "\(documents) documents, lognormal", "the same, of 8 to 120 tokens, lognormal", units: documents,
                    lengthSpread: 0.8),
            ]
        } + [
            KnownProcess(
                "10 clusters", "10 clusters per group, of 1 to 10 documents each", units: 10, clusterSizes: 1...10),
            KnownProcess(
                "40 clusters", "40 clusters per group, of 1 to 10 documents each", units: 40, clusterSizes: 1...10),
        ]

    /// The same process with another number of texts or clusters.
    func with(units: Int) -> KnownProcess {
        var other = self
        other.units = units
        return other
    }

    /// Draws a trace, and one of the same tokens whose router logits and likelihoods differ a little, and opens both.
    /// - Parameters:
    ///   - number: every trace has its own.
    ///   - body: may use them until it returns.
    package func withTraces<Result>(_ number: Int, _ body: (Trace, Trace) throws -> Result) throws -> Result {
        var numbers = SeededGenerator(seed: Scratch.hash(name), stream: UInt64(number))
        let documents = documents(&numbers)
        let manifest = TraceManifest.synthetic(
            documents, layers: Self.layers, experts: Self.experts, slots: 2, vocabulary: Self.vocabulary,
            capture: .init(
                routerLogits: .f32, attentionSummary: true, layers: Array(0..<Self.layers), predicted: true,
                speculative: [1]))
        return try Scratch.withFolder { folder in
            let urls = ["first", "second"].map { folder.appending(path: $0) }
            let writers = try urls.map { try TraceWriter(creating: $0, manifest: manifest) }
            var clusters: [String: [Double]] = [:]
            // Shards of some documents each, as a run over a corpus writes them.
            for start in stride(from: 0, to: documents.count, by: 2000) {
                let part = Array(documents[start..<min(start + 2000, documents.count)])
                let shards = urls.map { _ in TraceShard(layout: TraceLayout(manifest), documents: part) }
                fill(shards, part, &clusters, &numbers)
                for (writer, shard) in zip(writers, shards) { try writer.append(shard) }
            }
            for writer in writers { try writer.finish() }
            return try body(try Trace(folder: urls[0]), try Trace(folder: urls[1]))
        }
    }

    private func documents(_ numbers: inout SeededGenerator) -> [TraceDocument] {
        func length() -> Int {
            guard lengthSpread > 0 else { return 18 + numbers.below(24) }
            return min(120, max(8, Int((25 * exp(lengthSpread * Double(numbers.normal()))).rounded())))
        }
        return (0..<units).flatMap { unit in
            Self.groups.flatMap { group -> [TraceDocument] in
                let count = clusterSizes.map { $0.lowerBound + numbers.below($0.count) } ?? 1
                return (0..<count).map { place in
                    TraceDocument(
                        id: "\(group)\(unit)-\(place)", group: group, textSHA256: "", tokens: length(),
                        parallelID: clusterSizes == nil ? "\(unit)" : nil,
                        cluster: clusterSizes == nil ? nil : "\(group)\(unit)")
                }
            }
        }
    }

    /// - Parameter clusters: what each cluster adds to logits; new ones are drawn.
    private func fill(
        _ shards: [TraceShard], _ documents: [TraceDocument], _ clusters: inout [String: [Double]],
        _ numbers: inout SeededGenerator
    ) {
        let E = Self.experts
        func normal(_ spread: Double) -> Double { spread * Double(numbers.normal()) }
        var row = 0
        for document in documents {
            let sign = document.group == Self.groups[0] ? 0.5 : -0.5
            // What this document does apart from its group.
            var own = (0..<E).map { _ in normal(0.35) }
            if let cluster = document.cluster {
                if clusters[cluster] == nil { clusters[cluster] = (0..<E).map { _ in normal(0.35) } }
                for (expert, value) in (clusters[cluster] ?? []).enumerated() { own[expert] += value }
            }
            let (loss, shift) = (normal(0.3), normal(0.15))
            for position in 0..<document.tokens {
                let token = numbers.below(Self.vocabulary)
                let last = position + 1 == document.tokens
                for shard in shards {
                    shard.tokens[row] = Int32(token)
                    shard.predicted[row] = last ? -1 : Int32(token * 5 % Self.vocabulary)
                }
                let likelihood = -1.5 - abs(normal(1)) + loss
                let change = shift + normal(0.3)
                shards[0].logprobs[row] = position == 0 ? .nan : Float(min(0, likelihood))
                shards[1].logprobs[row] = position == 0 ? .nan : Float(min(0, likelihood - change))
                var spread = 0.0
                for layer in 0..<Self.layers {
                    let z = (0..<E).map { (expert: Int) -> Double in
                        let effect = groupEffect * sign * Double(expert) / 2
                        let pattern = 0.4 * Double((token + expert + layer) % 3)
                        return own[expert] + effect + pattern + Self.place(position, layer, expert) + normal(1)
                    }
                    let moved = z.map { $0 + normal(0.4) }
                    shards[0].set(logits: z, layer, row)
                    shards[1].set(logits: moved, layer, row)
                    spread += z[0]
                    guard layer == 1 else { continue }
                    let guess = largest(2, of: moved).map(Int32.init)
                    for shard in shards {
                        guess.withUnsafeBufferPointer { shard.setGuesses($0, ahead: 1, layer: 1, row: row) }
                    }
                }
                for layer in 0..<Self.layers {
                    for statistic in AttentionStatistic.allCases {
                        let value = Float16(abs(1 + own[0] + 0.2 * spread + normal(0.5)))
                        for shard in shards {
                            shard.attention(statistic, layerIndex: layer)[row] = value.bitPattern
                        }
                    }
                }
                row += 1
            }
        }
        precondition(row == shards[0].rowCount)
    }

    /// First tokens prefer expert 0, and in the last layer the others expert 1: load is uneven in the first layer, and close
    /// to even, where estimates of imbalance are hardest, in the last.
    private static func place(_ position: Int, _ layer: Int, _ expert: Int) -> Double {
        let isEarly = position < 16
        return isEarly && expert == 0 || !isEarly && layer == 1 && expert == 1 ? 0.5 : 0
    }
}
