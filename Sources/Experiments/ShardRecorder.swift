import Hooks
import Traces

/// Copies what the hooks of one wave show into the shard that will be written.
final class ShardRecorder: HookObserver {
    private let shard: TraceShard
    /// Place of each model layer in the trace.
    private let layerIndex: [Int: Int]

    init(_ shard: TraceShard, layers: [Int]) {
        self.shard = shard
        layerIndex = Dictionary(uniqueKeysWithValues: layers.enumerated().map { ($1, $0) })
    }

    func observe(_ point: HookPoint, _ value: borrowing HookValue) throws {
        guard let layer = point.layer else { return }
        switch point.site {
        case .pattern:
            guard let document = value.document, let heads = value.heads else { return }
            value.withFloats { values in
                let size = values.count / max(1, heads.count)
                for (place, head) in heads.enumerated() {
                    shard.addPattern(
                        UnsafeBufferPointer(rebasing: values[place * size..<(place + 1) * size]), document: document,
                        layer: layer, head: head)
                }
            }
        default:
            guard let index = layerIndex[layer] else { return }
            record(point.site, index, value)
        }
    }

    private func record(_ site: HookSite, _ index: Int, _ value: borrowing HookValue) {
        switch site {
        case .routerLogits:
            value.withFloats { _ = shard.routerLogits(layerIndex: index).update(fromContentsOf: $0) }
        case .expertWeights:
            value.withFloats { _ = shard.expertWeights(layerIndex: index).update(fromContentsOf: $0) }
        case .expertIndices: value.withIndices { shard.setExpertIndices($0, layerIndex: index) }
        case .attentionSummary: value.withFloats { shard.setAttentionSummary($0, layerIndex: index) }
        default: break
        }
    }
}
