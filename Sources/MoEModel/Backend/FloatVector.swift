import Tensors

/// A small tensor (a norm, a bias, a router) dequantized to f32, in the backend's memory. A tensor of two dimensions is
/// kept row after row.
struct FloatVector {
    private let buffer: AlignedBuffer
    /// Number of elements.
    let count: Int
    var base: UnsafeMutablePointer<Float> { buffer.bound(to: Float.self) }

    /// - Throws: `ModelError.unsupported` for integer and f64 tensors.
    init(_ tensor: Tensor) throws(ModelError) { try self.init([tensor]) }

    /// Several tensors one after the other.
    init(_ tensors: [Tensor]) throws(ModelError) {
        count = tensors.reduce(0) { $0 + $1.count }
        buffer = AlignedBuffer(Float.self, count: count)
        var place = 0
        for tensor in tensors {
            guard Backend.computes(with: tensor.dtype) else {
                throw .unsupported(
                    "tensor \(tensor.name): expected a floating-point or quantized type, found \(tensor.dtype.rawValue)"
                )
            }
            tensor.whileHeld { Backend.dequantize(tensor, into: buffer.bound(to: Float.self) + place) }
            place += tensor.count
        }
    }

    /// - Returns: nil for a tensor that the model does not have.
    static func optional(_ tensor: Tensor?) throws(ModelError) -> FloatVector? {
        guard let tensor else { return nil }
        return try FloatVector(tensor)
    }
}
