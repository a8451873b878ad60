import Calibration
import Foundation
import RoutingMetrics
import Tensors
import Traces

/// A trace of experts alone, K of E for every token, drawn without regard to any router: what a set of experts tells about the
/// group is what was planted.
struct SetTrace {
    var groups: [String]
    var documentsPerGroup: Int
    /// Tokens of every document.
    var tokens: Int
    var experts: Int
    var slots: Int
    /// How much documents differ from each other, in the logits that sets are drawn by.
    var spread: Double
    /// Whether the g-th group has expert g in each of its sets, and no other group's.
    var hasOwnExperts = false
    /// Documents that share a cluster.
    var perCluster: Int?
    var seed: Int

    func with<Result>(_ body: (Trace) throws -> Result) throws -> Result {
        let documents = (0..<documentsPerGroup).flatMap { text in
            groups.map { group in
                TraceDocument(
                    id: "\(group)\(text)", group: group, textSHA256: "", tokens: tokens,
                    cluster: perCluster.map { "\(group)\(text / $0)" })
            }
        }
        let manifest = TraceManifest.synthetic(
            documents, layers: 1, experts: experts, slots: slots, vocabulary: 10,
            capture: .init(routerLogits: nil, layers: [0]))
        let shard = TraceShard(layout: TraceLayout(manifest), documents: documents)
        fill(shard, documents)
        return try Scratch.withTrace(manifest, shard, body)
    }

    private func fill(_ shard: TraceShard, _ documents: [TraceDocument]) {
        var generator = SeededGenerator(seed: 23, stream: UInt64(seed))
        func uniform() -> Double { Double(generator.next() >> 11) / 9_007_199_254_740_992 + 1e-300 }
        let chosen = shard.expertIndices(layerIndex: 0)
        let weights = shard.expertWeights(layerIndex: 0)
        var row = 0
        for document in documents {
            let group = groups.firstIndex(of: document.group) ?? 0
            let own = (0..<experts).map { _ in
                spread * (-2 * log(uniform())).squareRoot() * cos(2 * .pi * uniform())
            }
            for position in 0..<document.tokens {
                if position > 0 { shard.logprobs[row] = -1 }
                shard.tokens[row] = Int32(generator.below(10))
                // Gumbel noise: the largest K are a draw without replacement.
                let keys = (0..<experts).map { expert -> Double in
                    let key = own[expert] - log(-log(uniform()))
                    guard hasOwnExperts, expert < groups.count else { return key }
                    // Anywhere among the K, not always the first.
                    return expert == group ? Double.infinity : -Double.infinity
                }
                let best = keys.indices.sorted { (keys[$1], $0) < (keys[$0], $1) }.prefix(slots)
                let turn = generator.below(slots)
                for slot in 0..<slots {
                    chosen[row * slots + slot] = UInt16(best[(slot + turn) % slots])
                    weights[row * slots + slot] = 1 / Float(slots)
                }
                row += 1
            }
        }
    }
}
