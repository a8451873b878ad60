import Checkpoints
import Tensors

/// Keys (rotated) and values of the tokens a session has read, [capacity, G·d] f32 per layer; grows by doubling.
final class KeyValueCache {
    private let columns: Int
    private let limit: Int
    private var keys: [AlignedBuffer]
    private var values: [AlignedBuffer]
    private var capacity = 0
    private(set) var count = 0

    init(_ config: ModelConfig) {
        columns = config.keyValueHeadCount * config.headSize
        limit = config.contextLength
        keys = (0..<config.layerCount).map { _ in AlignedBuffer(byteCount: 0) }
        values = keys
    }

    /// Room for `rows` more tokens; what is cached stays.
    func reserve(_ rows: Int) {
        guard count + rows > capacity else { return }
        let larger = max(count + rows, min(limit, max(256, capacity * 2)))
        for layer in keys.indices {
            keys[layer] = grown(keys[layer], to: larger)
            values[layer] = grown(values[layer], to: larger)
        }
        capacity = larger
    }

    private func grown(_ buffer: AlignedBuffer, to rows: Int) -> AlignedBuffer {
        let larger = AlignedBuffer(Float.self, count: rows * columns)
        larger.memory.copyMemory(from: buffer.memory, byteCount: count * columns * MemoryLayout<Float>.stride)
        return larger
    }

    /// The rows cached so far and `extra` rows to be written after them.
    func keys(_ layer: Int, extra: Int) -> Matrix {
        Matrix(keys[layer].bound(to: Float.self), rows: count + extra, columns: columns)
    }
    func values(_ layer: Int, extra: Int) -> Matrix {
        Matrix(values[layer].bound(to: Float.self), rows: count + extra, columns: columns)
    }

    /// The rows written after the cached ones belong to it from now on.
    func commit(_ rows: Int) { count += rows }

    /// Forgets all but the first `rows` tokens.
    func truncate(to rows: Int) { count = min(count, rows) }
}
