import Checkpoints
import Tensors

/// Keys (rotated) and values of the tokens a session has read: [G, capacity, d] for each layer, so that the keys of one head
/// lie one after the other. It grows by doubling.
///
/// Of latent attention it holds one head: the latent, behind it the rotated elements of keys that all heads share. Keys and
/// values are then the same rows.
final class KeyValueCache {
    let type: CacheType
    let groups: Int
    let headSize: Int
    private let limit: Int
    /// Bytes of one head of one token.
    let headBytes: Int
    private var keys: [AlignedBuffer]
    /// Empty where keys and values are the same rows.
    private var values: [AlignedBuffer]
    /// Tokens there is room for.
    private(set) var capacity = 0
    private(set) var count = 0
    /// Whether keys are turned as those of a text beyond the model's original context (`RotaryTable.isLong`). Set while the
    /// cache is empty: keys, and all that follows from them, depend on it.
    var isLong = false

    /// - Throws: `ModelError.unsupported` where heads are not whole blocks of the type.
    init(_ config: ModelConfig, type: CacheType) throws(ModelError) {
        let block = type.dtype.blockElements
        (groups, headSize) = Self.row(config)
        guard headSize % block == 0 else {
            throw .unsupported(
                "a \(type.rawValue) cache needs a head size that is a multiple of \(block); this model's is "
                    + "\(headSize). Use f16")
        }
        self.type = type
        headBytes = headSize / block * type.dtype.blockBytes
        limit = config.contextLength
        keys = (0..<config.layerCount).map { _ in AlignedBuffer(byteCount: 0) }
        values = config.attention.latent == nil ? keys : []
    }

    /// Heads of a token's row, and their size.
    private static func row(_ config: ModelConfig) -> (groups: Int, headSize: Int) {
        guard let latent = config.attention.latent else {
            return (config.attention.keyValueHeadCount, config.attention.headSize)
        }
        return (1, latent.rank + config.attention.rotatedSize)
    }

    /// Bytes one token takes in all layers.
    static func bytesPerToken(_ config: ModelConfig, type: CacheType) -> Int {
        let (groups, headSize) = row(config)
        let perHead = headSize * type.dtype.blockBytes / type.dtype.blockElements
        return (config.attention.latent == nil ? 2 : 1) * config.layerCount * groups * perHead
    }

    /// Room for `rows` more tokens; what is cached stays.
    func reserve(_ rows: Int) {
        guard count + rows > capacity else { return }
        let larger = max(count + rows, min(limit, max(256, capacity * 2)))
        for layer in keys.indices {
            keys[layer] = grown(keys[layer], to: larger)
            if !values.isEmpty { values[layer] = grown(values[layer], to: larger) }
        }
        capacity = larger
    }

    private func grown(_ buffer: AlignedBuffer, to rows: Int) -> AlignedBuffer {
        let larger = AlignedBuffer(byteCount: groups * rows * headBytes)
        for group in 0..<groups where count > 0 {
            (larger.memory + group * rows * headBytes).copyMemory(
                from: buffer.memory + group * capacity * headBytes, byteCount: count * headBytes)
        }
        return larger
    }

    /// From the keys of one head to those of the next.
    var groupBytes: Int { capacity * headBytes }

    /// Where a layer's keys or values begin: head by head, token by token.
    func keys(_ layer: Int) -> UnsafeMutableRawPointer { keys[layer].memory }
    func values(_ layer: Int) -> UnsafeMutableRawPointer { (values.isEmpty ? keys : values)[layer].memory }

    /// The rows written after the cached ones belong to it from now on.
    func commit(_ rows: Int) { count += rows }

    /// Forgets all but the first `rows` tokens.
    func truncate(to rows: Int) { count = min(count, rows) }
}
