import FileFormats
import Foundation
import Tensors

extension RopeScaling {
    /// LongRoPE's divisors, [d/2] each, which GGUF stores as tensors.
    package static let factorTensors = ["rope_factors_short.weight", "rope_factors_long.weight"]

    /// Rotary scaling as llama.cpp reads it (`load_hparams` in `llama-model.cpp`, YaRN in `llama-context.cpp`); nil: none.
    static func gguf(
        _ fields: GGUFFields, contextLength: Int, headSize: Int, tensors: [String: Tensor]
    ) throws(FileError) -> RopeScaling? {
        let original = try fields.optionalSize("rope.scaling.original_context_length") ?? contextLength
        // The older key counts where the newer one is absent; 0 is none.
        var factor = try fields.optionalNumber("rope.scaling.factor")
        if factor == nil { factor = try fields.optionalNumber("rope.scale_linear") }
        let stretch = factor.flatMap { $0 == 0 ? nil : $0 } ?? 1
        guard stretch > 0 else { throw fields.wrong("rope.scaling.factor", expected: "a number above 0") }
        let given = try fields.optionalNumber("rope.scaling.attn_factor") ?? 1
        let kind = fields["rope.scaling.type"]

        let divisors = try factorTensors.map { name throws(FileError) in
            try factors(name, tensors, count: headSize / 2, path: fields.path)
        }
        switch (divisors[0], divisors[1]) {
        case (let short?, let long?):
            return RopeScaling(
                kind: .longRope, factor: Float(contextLength) / Float(original), originalContext: original,
                attentionFactor: given, shortFactors: short, longFactors: long)
        case (nil, nil): break
        default:
            let (there, absent) = divisors[0] == nil ? (1, 0) : (0, 1)
            throw FileError(
                .unsupported, file: fields.path, field: "tensor \(factorTensors[there])",
                expected: "\(factorTensors[absent]) beside it", found: "only one of LongRoPE's two tables")
        }
        switch kind?.string {
        // Without a type llama.cpp takes linear.
        case nil, "linear", "longrope":
            if kind != nil, kind?.string == nil { throw fields.wrong("rope.scaling.type", expected: "a string") }
            return linear(stretch, given, original)
        case "none": return linear(1, given, original)
        case "yarn":
            let extrapolation = try fields.optionalNumber("rope.scaling.yarn_ext_factor") ?? -1
            // 0 leaves interpolation alone; every number below says "not set".
            if extrapolation == 0 { return linear(stretch, given, original) }
            guard extrapolation < 0 || extrapolation == 1 else {
                throw fields.wrong("rope.scaling.yarn_ext_factor", expected: "0 or 1")
            }
            let own = try fields.optionalNumber("rope.scaling.yarn_attn_factor") ?? 1
            return RopeScaling(
                kind: .yarn, factor: stretch, originalContext: original,
                betaFast: try fields.optionalNumber("rope.scaling.yarn_beta_fast") ?? 32,
                betaSlow: try fields.optionalNumber("rope.scaling.yarn_beta_slow") ?? 1,
                // llama.cpp multiplies attn_factor by YaRN's own 0.1 · ln(factor) + 1.
                attentionFactor: given * own * (0.1 * Float(log(Double(max(1, stretch)))) + 1))
        case let name?:
            throw FileError(
                .unsupported, file: fields.path, field: "metadata \(fields.key("rope.scaling.type"))",
                expected: "none, linear, yarn or longrope", found: "\"\(name)\"")
        }
    }

    private static func linear(_ factor: Float, _ attention: Float, _ original: Int) -> RopeScaling? {
        factor == 1 && attention == 1
            ? nil : RopeScaling(kind: .linear, factor: factor, originalContext: original, attentionFactor: attention)
    }

    /// Whether a LongRoPE's magnitude is the formula's (arXiv 2402.13753), not one that was read.
    func isComputedMagnitude(contextLength: Int) -> Bool {
        guard kind == .longRope, contextLength > originalContext, originalContext > 1 else { return false }
        let stretch = Double(contextLength) / Double(originalContext)
        return abs(Double(attentionFactor) - (1 + log(stretch) / log(Double(originalContext))).squareRoot()) < 1e-5
    }

    /// One of LongRoPE's tables.
    private static func factors(
        _ name: String, _ tensors: [String: Tensor], count: Int, path: String
    ) throws(FileError) -> [Float]? {
        guard let tensor = tensors[name] else { return nil }
        guard tensor.dtype == .f32, tensor.shape == [count] else {
            throw FileError(
                .mismatch, file: path, field: "tensor \(name)", expected: "F32 [\(count)]",
                found: "\(tensor.dtype.rawValue) \(tensor.shape)")
        }
        return (0..<count).map { tensor.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
}
