import FileFormats
import Tensors

/// What expands the latent of keys and values: one matrix [H · (n + m), c], or the two that GGUF files hold since 2025.
///
/// H heads · n elements of a key that are a head's own · m elements of a value · c width of the latent. In one matrix a head's
/// key rows stand before its value rows; apart, keys are [H, c, n], so that they can be multiplied with queries, and values
/// [H, m, c].
public struct LatentExpansion: Sendable {
    public let heads: Int
    public let keySize: Int
    public let valueSize: Int
    public let rank: Int

    /// - Returns: nil for a model without latent attention.
    public init?(_ config: ModelConfig) {
        guard let latent = config.attention.latent else { return nil }
        heads = config.attention.headCount
        keySize = config.attention.headSize - config.attention.rotatedSize
        (valueSize, rank) = (latent.valueSize, latent.rank)
    }

    public var keyShape: [Int] { [heads, rank, keySize] }
    public var valueShape: [Int] { [heads, valueSize, rank] }

    /// The one matrix, in memory that is filled when it is needed; F32 where a type is stored in blocks or the two differ.
    /// - Throws: `unsupported` where there is no address space for it.
    func joined(keys: Tensor, values: Tensor, file: String) throws(FileError) -> Tensor {
        let isPlain = keys.dtype.blockElements == 1 && keys.dtype == values.dtype
        let rows = keySize + valueSize
        let dtype = isPlain ? keys.dtype : .f32
        return try Tensor.produced(keys.name, dtype, [heads * rows, rank], file: file) { target in
            let (keys, values) = isPlain ? (keys, values) : (keys.asFloats(), values.asFloats())
            for head in 0..<heads {
                transpose(
                    keys.bytes, at: head * rank * keySize, rows: rank, columns: keySize, into: target,
                    at: head * rows * rank, size: dtype.blockBytes)
                copy(
                    values.bytes, at: head * valueSize * rank, into: target, at: (head * rows + keySize) * rank,
                    count: valueSize * rank, size: dtype.blockBytes)
            }
        }
    }

    /// [H, c, n] of the one matrix.
    public func keys(of up: Tensor) -> Tensor {
        let up = up.dtype.blockElements == 1 && up.produced == nil ? up : up.asFloats()
        return filled(up.name, up.dtype, keyShape) { target, size in
            for head in 0..<heads {
                transpose(
                    up.bytes, at: head * (keySize + valueSize) * rank, rows: keySize, columns: rank, into: target,
                    at: head * rank * keySize, size: size)
            }
        }
    }

    /// [H, m, c] of the one matrix.
    public func values(of up: Tensor) -> Tensor {
        let up = up.dtype.blockElements == 1 && up.produced == nil ? up : up.asFloats()
        return filled(up.name, up.dtype, valueShape) { target, size in
            for head in 0..<heads {
                copy(
                    up.bytes, at: (head * (keySize + valueSize) + keySize) * rank, into: target,
                    at: head * valueSize * rank, count: valueSize * rank, size: size)
            }
        }
    }

    private func filled(
        _ name: String, _ dtype: DType, _ shape: [Int], _ fill: (UnsafeMutableRawBufferPointer, _ size: Int) -> Void
    ) -> Tensor {
        let buffer = AlignedBuffer(byteCount: shape.reduce(1, *) * dtype.blockBytes)
        fill(buffer.bytes, dtype.blockBytes)
        return Tensor(
            name: name, dtype: dtype, shape: shape, bytes: UnsafeRawBufferPointer(buffer.bytes), owner: buffer)
    }

    /// Copies elements of `size` bytes; places and counts are in elements.
    private func copy(
        _ source: UnsafeRawBufferPointer, at from: Int, into target: UnsafeMutableRawBufferPointer, at to: Int,
        count: Int, size: Int
    ) {
        UnsafeMutableRawBufferPointer(rebasing: target[to * size..<(to + count) * size]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: source[from * size..<(from + count) * size]))
    }

    private func transpose(
        _ source: UnsafeRawBufferPointer, at from: Int, rows: Int, columns: Int,
        into target: UnsafeMutableRawBufferPointer, at to: Int, size: Int
    ) {
        let part = UnsafeRawBufferPointer(rebasing: source[from * size..<(from + rows * columns) * size])
        let place = UnsafeMutableRawBufferPointer(rebasing: target[to * size..<(to + rows * columns) * size])
        func move<Bits: BitwiseCopyable>(_: Bits.Type) {
            for row in 0..<rows {
                for column in 0..<columns {
                    let bits = part.loadUnaligned(fromByteOffset: (row * columns + column) * size, as: Bits.self)
                    place.storeBytes(of: bits, toByteOffset: (column * rows + row) * size, as: Bits.self)
                }
            }
        }
        if size == 2 { move(UInt16.self) } else { move(UInt32.self) }
    }
}
