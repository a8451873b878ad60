import CKernels

extension Tensor {
    /// The same values as F32, in memory of their own.
    ///
    /// - Precondition: a type that weights can have (`ck_dequantize`).
    public func asFloats() -> Tensor {
        let buffer = AlignedBuffer(Float.self, count: count)
        whileHeld {
            if let type = dtype.ggufType, let base = bytes.baseAddress {
                ck_dequantize(ck_type(rawValue: type), base, Int64(count), buffer.bound(to: Float.self))
            }
        }
        return Tensor(name: name, dtype: .f32, shape: shape, bytes: UnsafeRawBufferPointer(buffer.bytes), owner: buffer)
    }
}
