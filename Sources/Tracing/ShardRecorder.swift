import Hooks
import MoEModel
import Tensors
import Traces

/// Copies what the hooks of one wave show into the shard that will be written.
final class ShardRecorder: HookObserver {
    private let shard: TraceShard
    /// Place of each model layer with a router in the trace.
    private let layerIndex: [Int: Int]
    /// Whose routers guess; nil where no experts are to be guessed.
    private let model: Model?

    init(_ shard: TraceShard, model: Model? = nil) {
        self.shard = shard
        self.model = model
        layerIndex = Dictionary(uniqueKeysWithValues: shard.layout.layers.enumerated().map { ($1, $0) })
    }

    func observe(_ point: HookPoint, _ value: borrowing HookValue) throws {
        guard let layer = point.layer else {
            if point.site == .logits { value.withFloats(predict) }
            return
        }
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
        case .residMid: value.withFloats { guess($0, from: layer) }
        case .expertIndices:
            guard let index = layerIndex[layer] else { return }
            value.withIndices { shard.setExpertIndices($0, layerIndex: index) }
        default: value.withFloats { shard.record(point.site, layer: layer, $0) }
        }
    }

    /// The most probable token after every row but a document's last; the lowest id of equal ones. logits: [T, V].
    private func predict(_ logits: UnsafeBufferPointer<Float>) {
        let V = logits.count / max(1, shard.rowCount)
        nonisolated(unsafe) let logits = logits
        nonisolated(unsafe) let predicted = shard.predicted
        var ranges: [Range<Int>] = []
        for document in shard.documents {
            let start = ranges.last.map { $0.upperBound } ?? 0
            ranges.append(start..<start + document.tokens)
        }
        let documents = ranges
        Parallel.forEach(documents.count, threads: model?.threadCount) { document in
            for row in documents[document].dropLast() {
                var best = row * V
                for place in row * V..<(row + 1) * V where logits[place] > logits[best] { best = place }
                predicted[row] = Int32(best - row * V)
            }
        }
    }

    /// What the routers of later layers would choose for this layer's residual stream. residual: [T, D].
    private func guess(_ residual: UnsafeBufferPointer<Float>, from layer: Int) {
        for ahead in shard.layout.speculative where layerIndex[layer + ahead] != nil {
            model?.routerChoice(layer: layer + ahead, residual: residual) { indices in
                shard.setGuesses(indices, ahead: ahead, layer: layer + ahead)
            }
        }
    }
}
