import FileFormats
import Tensors

extension Tensor {
    /// A tensor in memory that `produce` fills when the tensor is needed.
    /// - Throws: `unsupported` where there is no address space for it.
    static func produced(
        _ name: String, _ dtype: DType, _ shape: [Int], file: String,
        _ produce: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
    ) throws(FileError) -> Tensor {
        let byteCount = shape.reduce(1, *) / dtype.blockElements * dtype.blockBytes
        guard let memory = ProducedMemory(byteCount: byteCount, produce: produce) else {
            throw FileError(
                .unsupported, file: file, field: "tensor \(name)", expected: "address space for \(byteCount) bytes",
                found: "\(dtype.rawValue) \(shape)")
        }
        return Tensor(name: name, dtype: dtype, shape: shape, bytes: memory.bytes, owner: memory)
    }
}
