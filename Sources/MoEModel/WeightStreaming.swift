import Checkpoints
import Foundation
import Tensors

/// Reads the next layer's weights while the current layer computes and, for models larger than their budget, lets go of
/// the layers that are done: each weight is read from disk once per pass, in order.
///
/// A pass over few rows, as in decoding, needs next to no working memory and reads a few experts of each layer: weights stay
/// for it as long as nearly the whole budget holds them, and nothing is read ahead.
final class WeightStream: @unchecked Sendable {
    /// Whether a pass over many rows lets finished layers go: their weights are more than half of the budget.
    let releases: Bool
    /// Whether a pass over few rows does: they are more than seven eighths.
    private let releasesForFewRows: Bool
    private static let fewRows = 32
    private let layers: [[Tensor]]
    /// Memory of each layer that is filled before it is read, and whether it is held.
    private let produced: [[ProducedMemory]]
    private var isHeld: [Bool]
    private let readers = DispatchQueue(label: "moescope.read-ahead", qos: .utility)

    /// - Parameter budget: bytes for weights and all that is computed with them; nil: whatever it takes.
    init(_ tensors: ModelTensors, budget: Int?) {
        layers = tensors.layers.map(\.matrices)
        produced = layers.map { layer in
            var seen: Set<ObjectIdentifier> = []
            return layer.compactMap(\.produced).filter { seen.insert(ObjectIdentifier($0)).inserted }
        }
        isHeld = layers.map { _ in false }
        let total = layers.joined().reduce(0) { $0 + $1.bytes.count }
        releases = budget.map { total > $0 / 2 } ?? false
        releasesForFewRows = budget.map { total > $0 / 8 * 7 } ?? false
    }

    /// Layer `layer` starts for a pass over `rows` rows: the one after it is read ahead, the one before it is done.
    ///
    /// Called by one pass at a time.
    func enter(_ layer: Int, rows: Int) {
        if !isHeld[layer] {
            for memory in produced[layer] { memory.hold() }
            isHeld[layer] = true
        }
        let isSmall = rows < Self.fewRows
        guard isSmall ? releasesForFewRows : releases else { return }
        if !isSmall, layer + 1 < layers.count {
            let next = layers[layer + 1]
            // In a child of `fork` the queue has no thread.
            if Forks.count > 0 {
                for tensor in next { tensor.prefetch() }
            } else {
                readers.async { for tensor in next { tensor.prefetch() } }
            }
        }
        if layer > 0 { leave(layer - 1) }
    }

    /// The pass is over.
    func finish(rows: Int) {
        guard rows < Self.fewRows ? releasesForFewRows : releases, !layers.isEmpty else { return }
        leave(layers.count - 1)
    }

    private func leave(_ layer: Int) {
        letGo(layer)
        for tensor in layers[layer] { tensor.releasePages() }
    }

    private func letGo(_ layer: Int) {
        guard isHeld[layer] else { return }
        for memory in produced[layer] { memory.letGo() }
        isHeld[layer] = false
    }

    deinit { for layer in layers.indices { letGo(layer) } }
}
