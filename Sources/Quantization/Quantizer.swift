import Tensors

/// Turns f32 into every type the engine computes with.
///
/// The blocks are those of GGUF. Each is searched for its least squared error, so that errors are no larger than those
/// of llama.cpp's quantizer without importance weights (`Tests/Fixtures/quantization`).
public enum Quantizer {
    /// The types that can be written.
    public static let types: [DType] = [
        .f32, .f16, .bf16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_nl,
    ]

    /// Writes `count` elements (whole blocks) of `values` as `dtype`.
    /// - Parameter importance: how much each element's squared error matters, none below 0; nil: all the same. Types without a
    ///   choice to make (floats, Q8_0) do not look at it.
    /// - Precondition: `dtype` is in `types`; values are finite; `out` has room for them.
    public static func quantize(
        _ values: UnsafePointer<Float>, count: Int, to dtype: DType, into out: UnsafeMutableRawPointer,
        importance: UnsafePointer<Float>? = nil
    ) {
        precondition(count % dtype.blockElements == 0, "\(count) elements are no whole blocks of \(dtype.rawValue)")
        switch dtype {
        case .f32: out.copyMemory(from: values, byteCount: 4 * count)
        case .f16:
            for index in 0..<count {
                out.storeBytes(of: Float16(values[index]).bitPattern, toByteOffset: 2 * index, as: UInt16.self)
            }
        case .bf16:
            for index in 0..<count {
                out.storeBytes(of: bfloat(values[index]), toByteOffset: 2 * index, as: UInt16.self)
            }
        case .q8_0: blocks(values, count, dtype, out, importance, SimpleBlocks.q8_0)
        case .q4_0: blocks(values, count, dtype, out, importance, SimpleBlocks.q4_0)
        case .q4_1: blocks(values, count, dtype, out, importance, SimpleBlocks.q4_1)
        case .q5_0: blocks(values, count, dtype, out, importance, SimpleBlocks.q5_0)
        case .q5_1: blocks(values, count, dtype, out, importance, SimpleBlocks.q5_1)
        case .iq4_nl: blocks(values, count, dtype, out, importance, SimpleBlocks.iq4_nl)
        case .q2_k: blocks(values, count, dtype, out, importance, AffineKBlocks.q2_k)
        case .q4_k: blocks(values, count, dtype, out, importance, AffineKBlocks.q4_k)
        case .q5_k: blocks(values, count, dtype, out, importance, AffineKBlocks.q5_k)
        case .q3_k: blocks(values, count, dtype, out, importance, SymmetricKBlocks.q3_k)
        case .q6_k: blocks(values, count, dtype, out, importance, SymmetricKBlocks.q6_k)
        default: preconditionFailure("\(dtype.rawValue) cannot be written")
        }
    }

    private static func blocks(
        _ values: UnsafePointer<Float>, _ count: Int, _ dtype: DType, _ out: UnsafeMutableRawPointer,
        _ importance: UnsafePointer<Float>?,
        _ write: (UnsafePointer<Float>, UnsafePointer<Float>?, UnsafeMutablePointer<UInt8>) -> Void
    ) {
        let bytes = out.assumingMemoryBound(to: UInt8.self)
        for block in 0..<count / dtype.blockElements {
            let first = block * dtype.blockElements
            write(values + first, importance.map { $0 + first }, bytes + block * dtype.blockBytes)
        }
    }

    /// Rounded to nearest, ties to even.
    private static func bfloat(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        guard !value.isNaN else { return 0x7FC0 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }
}
