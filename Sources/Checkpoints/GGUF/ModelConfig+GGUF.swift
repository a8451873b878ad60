import Foundation
import GGUFFormat
import Tensors

extension ModelConfig {
    /// Reads a GGUF file's metadata, every key checked on its own and against the others.
    static func gguf(_ weights: GGUFWeights, path: String) throws(CheckpointError) -> (ModelConfig, Family) {
        let metadata = weights.metadata
        guard let name = metadata["general.architecture"]?.string else {
            throw CheckpointError(.missing, file: path, subject: "metadata general.architecture")
        }
        let known = Family.all.map(\.ggufArchitecture).joined(separator: ", ")
        guard let family = Family.all.first(where: { $0.ggufArchitecture == name }) else {
            throw CheckpointError(
                .unsupported, file: path, subject: "metadata general.architecture", expected: "one of \(known)",
                found: "\"\(name)\"")
        }
        let fields = GGUFFields(path: path, architecture: name, metadata: metadata)
        guard fields["expert_count"]?.int ?? 0 > 0 else {
            throw CheckpointError(
                .unsupported, file: path, subject: "metadata \(fields.key("expert_count"))",
                expected: "a mixture of experts", found: fields["expert_count"]?.kindDescription ?? "nothing",
                hint: "this is a dense model")
        }
        let hiddenSize = try fields.size("embedding_length")
        let headCount = try fields.size("attention.head_count")
        var headSize = try fields.optionalSize("attention.key_length")
        if headSize == nil { headSize = try fields.optionalSize("rope.dimension_count") }
        if let value = try fields.optionalSize("attention.value_length"), let headSize, value != headSize {
            throw fields.wrong("attention.value_length", expected: "attention.key_length \(headSize)")
        }
        if let rotated = try fields.optionalSize("rope.dimension_count"), let headSize, rotated != headSize {
            throw fields.wrong("rope.dimension_count", expected: "the head size \(headSize)")
        }
        var expertSize = try fields.optionalSize("expert_feed_forward_length")
        if expertSize == nil { expertSize = try fields.size("feed_forward_length") }
        guard let embedding = weights.tensors["token_embd.weight"], let vocabularySize = embedding.shape.first else {
            throw CheckpointError(
                .missing, file: path, subject: "tensor token_embd.weight",
                expected: "shape [vocabulary, \(hiddenSize)]",
                found: "no such tensor")
        }
        var epsilon = try fields.optionalNumber("attention.layer_norm_rms_epsilon")
        if epsilon == nil { epsilon = try fields.optionalNumber("attention.layer_norm_epsilon") }
        let contextLength = try fields.size("context_length")

        var config = ModelConfig(
            architecture: family.architecture,
            vocabularySize: vocabularySize,
            hiddenSize: hiddenSize,
            layerCount: try fields.size("block_count"),
            headCount: headCount,
            keyValueHeadCount: try fields.optionalSize("attention.head_count_kv") ?? headCount,
            headSize: headSize ?? hiddenSize / headCount,
            expertSize: expertSize ?? 1,
            expertCount: try fields.size("expert_count"),
            expertsPerToken: try fields.size("expert_used_count"),
            contextLength: contextLength,
            slidingWindow: try fields.optionalSize("attention.sliding_window"),
            normEpsilon: epsilon ?? family.defaultNormEpsilon,
            // What llama.cpp assumes where the file does not say.
            ropeTheta: try fields.optionalNumber("rope.freq_base") ?? 10_000,
            rotaryLayout: family.ggufRotaryLayout,
            renormalizesExpertWeights: try fields.flag(
                "expert_weights_norm", default: family.ggufRenormalizesExpertWeights),
            tiesOutputToEmbedding: weights.tensors["output.weight"] == nil,
            bosToken: try fields.token("bos_token_id", vocabularySize: vocabularySize),
            eosToken: try fields.token("eos_token_id", vocabularySize: vocabularySize),
            normKind: family.normKind,
            queryKeyNorm: family.queryKeyNorm,
            routerScoring: family.routerScoring)
        config.ropeScaling = try RopeScaling.gguf(
            fields, contextLength: contextLength, headSize: config.headSize, tensors: weights.tensors)
        try config.readFamilyFields(fields, family, tensors: weights.tensors)
        try config.checkConsistency { field, expected in fields.wrong(field.ggufName, expected: expected) }
        return (config, family)
    }

    /// What only some families have.
    private mutating func readFamilyFields(
        _ fields: GGUFFields, _ family: Family, tensors: [String: Tensor]
    ) throws(CheckpointError) {
        if family.sharedExpertSizeField != nil {
            sharedExpertSize = try fields.optionalSize("expert_shared_feed_forward_length")
            // Files of 2024 do not say; the tensor does.
            if sharedExpertSize == nil { sharedExpertSize = tensors["blk.0.ffn_gate_shexp.weight"]?.shape.first }
        }
        // llama.cpp does not know of it; the model's own default.
        if family.routerJitterField != nil { routerJitter = 0.01 }
        projectionClip = try fields.optionalNumber("attention.clamp_kqv")
        if family.hasMultipliers {
            attentionScale = try fields.optionalNumber("attention.scale")
            embeddingMultiplier = try fields.optionalNumber("embedding_scale") ?? 1
            residualMultiplier = try fields.optionalNumber("residual_scale") ?? 1
            logitDivisor = try fields.optionalNumber("logit_scale") ?? 1
        }
        hasAttentionBias = tensors["blk.0.attn_q.bias"] != nil
        hasOutputBias = tensors["output.bias"] != nil
    }
}

extension ModelConfig.CheckedField {
    fileprivate var ggufName: String {
        switch self {
        case .keyValueHeads: "attention.head_count_kv"
        case .headSize: "attention.key_length"
        case .expertsPerToken: "expert_used_count"
        case .layerCount: "block_count"
        case .normEpsilon: "attention.layer_norm_rms_epsilon"
        case .ropeTheta: "rope.freq_base"
        }
    }
}

extension RopeScaling {
    fileprivate static func gguf(
        _ fields: GGUFFields, contextLength: Int, headSize: Int, tensors: [String: Tensor]
    ) throws(CheckpointError) -> RopeScaling? {
        let original = try fields.optionalSize("rope.scaling.original_context_length") ?? contextLength
        let factor = try fields.optionalNumber("rope.scaling.factor") ?? 1
        if let short = try factors("rope_factors_short.weight", tensors, count: headSize / 2, path: fields.path),
            let long = try factors("rope_factors_long.weight", tensors, count: headSize / 2, path: fields.path)
        {
            return RopeScaling(
                kind: .longRope, factor: Float(contextLength) / Float(original), originalContext: original,
                attentionFactor: try fields.optionalNumber("rope.scaling.attn_factor") ?? 1, shortFactors: short,
                longFactors: long)
        }
        switch fields["rope.scaling.type"]?.string {
        case nil, "none": return nil
        case "linear":
            return factor == 1 ? nil : RopeScaling(kind: .linear, factor: factor, originalContext: original)
        case "yarn":
            // llama.cpp multiplies attn_factor by YaRN's own 0.1 · ln(factor) + 1.
            let given = try fields.optionalNumber("rope.scaling.attn_factor") ?? 1
            return RopeScaling(
                kind: .yarn, factor: factor, originalContext: original,
                attentionFactor: given * (0.1 * Float(log(Double(max(1, factor)))) + 1))
        case let name?:
            throw CheckpointError(
                .unsupported, file: fields.path, subject: "metadata \(fields.key("rope.scaling.type"))",
                expected: "none, linear or yarn", found: "\"\(name)\"")
        }
    }

    /// LongRoPE's divisors, which GGUF stores as a tensor.
    private static func factors(
        _ name: String, _ tensors: [String: Tensor], count: Int, path: String
    ) throws(CheckpointError) -> [Float]? {
        guard let tensor = tensors[name] else { return nil }
        guard tensor.dtype == .f32, tensor.shape == [count] else {
            throw CheckpointError(
                .mismatch, file: path, subject: "tensor \(name)", expected: "F32 [\(count)]",
                found: "\(tensor.dtype.rawValue) \(tensor.shape)")
        }
        return (0..<count).map { tensor.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
}
