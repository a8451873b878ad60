/// A named, read-only tensor whose bytes belong to someone else: a memory-mapped file, or a buffer.
///
/// Row-major, the last dimension contiguous; block-quantized types are blocked along the last dimension. The
/// tensor keeps `owner` alive, so its bytes stay valid as long as any copy of the tensor does.
public struct Tensor: @unchecked Sendable {
    public let name: String
    public let dtype: DType
    /// Outermost dimension first, as safetensors and PyTorch print it: a linear layer is [out, in].
    public let shape: [Int]
    public let bytes: UnsafeRawBufferPointer
    /// Whatever keeps `bytes` valid. It is only retained, never used from two threads.
    public let owner: AnyObject

    /// - Precondition: `bytes` holds exactly the elements of `shape`, whole blocks per row.
    public init(name: String, dtype: DType, shape: [Int], bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        precondition(
            dtype.byteCount(elements: shape.last ?? 1).map { $0 * shape.dropLast().reduce(1, *) } == bytes.count,
            "tensor \(name): \(bytes.count) bytes do not hold \(dtype.rawValue) \(shape)")
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.bytes = bytes
        self.owner = owner
    }

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }

    /// Bytes from one row (all but the last dimension fixed) to the next.
    public var rowBytes: Int { bytes.count / max(1, shape.dropLast().reduce(1, *)) }

    /// The `index`-th entry along the first dimension: expert e of a merged [E, F, D] tensor is [F, D]. Shares memory.
    public func slice(_ index: Int) -> Tensor {
        precondition(shape.count > 1 && index >= 0 && index < shape[0])
        let size = bytes.count / shape[0]
        return Tensor(
            name: "\(name)[\(index)]", dtype: dtype, shape: Array(shape.dropFirst()),
            bytes: UnsafeRawBufferPointer(rebasing: bytes[index * size..<(index + 1) * size]), owner: owner)
    }

    /// Entries `range` along the first dimension, as a tensor of the same rank. Shares memory.
    public func rows(_ range: Range<Int>) -> Tensor {
        precondition(!shape.isEmpty && range.lowerBound >= 0 && range.upperBound <= shape[0])
        let size = shape[0] == 0 ? 0 : bytes.count / shape[0]
        return Tensor(
            name: "\(name)[\(range.lowerBound):\(range.upperBound)]", dtype: dtype,
            shape: [range.count] + shape.dropFirst(),
            bytes: UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound * size..<range.upperBound * size]),
            owner: owner)
    }

    /// The same bytes under another shape with as many elements, whose rows are whole blocks.
    public func reshaped(_ shape: [Int]) -> Tensor {
        Tensor(name: name, dtype: dtype, shape: shape, bytes: bytes, owner: owner)
    }
}
