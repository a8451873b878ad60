import Foundation
import FileFormats
import RouterPolicies
import Tensors

extension ModelConfig {
    /// Reads a GGUF file's metadata, every key checked on its own and against the others.
    static func gguf(_ weights: GGUFWeights, path: String) throws(FileError) -> (ModelConfig, Family) {
        let metadata = weights.metadata
        guard let name = metadata["general.architecture"]?.string else {
            throw FileError(.missing, file: path, field: "metadata general.architecture")
        }
        let known = Family.all.map(\.ggufArchitecture).joined(separator: ", ")
        guard let family = Family.all.first(where: { $0.ggufArchitecture == name }) else {
            throw FileError(
                .unsupported, file: path, field: "metadata general.architecture", expected: "one of \(known)",
                found: "\"\(name)\"")
        }
        let fields = GGUFFields(path: path, architecture: name, metadata: metadata)
        guard fields["expert_count"]?.int ?? 0 > 0 else {
            throw FileError(
                .unsupported, file: path, field: "metadata \(fields.key("expert_count"))",
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
            throw FileError(
                .missing, file: path, field: "tensor token_embd.weight",
                expected: "shape [vocabulary, \(hiddenSize)]",
                found: "no such tensor")
        }
        var epsilon = try fields.optionalNumber("attention.layer_norm_rms_epsilon")
        if epsilon == nil { epsilon = try fields.optionalNumber("attention.layer_norm_epsilon") }
        let contextLength = try fields.size("context_length")

        let tensors = weights.tensors
        let size = headSize ?? hiddenSize / headCount
        // What llama.cpp assumes where the file does not say.
        var rotary = RotaryConfig(
            theta: try fields.optionalNumber("rope.freq_base") ?? 10_000, layout: family.ggufRotaryLayout)
        rotary.scaling = try RopeScaling.gguf(
            fields, contextLength: contextLength, headSize: size, tensors: tensors)
        var attention = AttentionConfig(
            headCount: headCount, keyValueHeadCount: try fields.optionalSize("attention.head_count_kv") ?? headCount,
            headSize: size, rotary: rotary, queryKeyNorm: family.queryKeyNorm,
            projectionClip: try fields.optionalNumber("attention.clamp_kqv"),
            hasBias: tensors["blk.0.attn_q.bias"] != nil, hasOutputBias: tensors["blk.0.attn_output.bias"] != nil)
        var multipliers = Multipliers()
        if family.hasMultipliers {
            attention.scale = try fields.optionalNumber("attention.scale")
            multipliers = Multipliers(
                embedding: try fields.optionalNumber("embedding_scale") ?? 1,
                residual: try fields.optionalNumber("residual_scale") ?? 1,
                logitDivisor: try fields.optionalNumber("logit_scale") ?? 1)
        }
        var experts = ExpertsConfig(
            count: try fields.size("expert_count"), size: expertSize ?? 1,
            sharedIsGated: family.sharedExpertSizeField != nil)
        if family.sharedExpertSizeField != nil {
            experts.sharedSize = try fields.optionalSize("expert_shared_feed_forward_length")
            // Files of 2024 do not say; the tensor does.
            if experts.sharedSize == nil {
                experts.sharedSize = tensors["blk.0.ffn_gate_shexp.weight"]?.shape.first
            }
        }
        var router = family.router
        router.expertsPerToken = try fields.size("expert_used_count")
        router.weigh.normalizes = try fields.flag(
            "expert_weights_norm", default: family.ggufRenormalizesExpertWeights)
        let window = try fields.optionalSize("attention.sliding_window")
        // GGUF has no field that lists dense layers: those without a router are dense.
        let layers = (0..<(try fields.size("block_count"))).map { layer in
            LayerKind(
                attention: window.map { .windowed($0) } ?? .full,
                feedForward: tensors[TensorRole.router.ggufName(layer: layer)] == nil
                    && tensors[TensorRole.denseGate.ggufName(layer: layer)] != nil ? .dense : .experts)
        }
        let hasDense = layers.contains { $0.feedForward == .dense }
        let config = ModelConfig(
            architecture: family.architecture,
            vocabularySize: vocabularySize,
            hiddenSize: hiddenSize,
            contextLength: contextLength,
            layers: layers,
            norm: NormConfig(kind: family.normKind, epsilon: epsilon ?? family.defaultNormEpsilon),
            attention: attention,
            router: router,
            experts: experts,
            denseSize: hasDense ? try fields.size("feed_forward_length") : nil,
            multipliers: multipliers,
            tiesOutputToEmbedding: tensors["output.weight"] == nil,
            hasOutputBias: tensors["output.bias"] != nil,
            bosToken: try fields.token("bos_token_id", vocabularySize: vocabularySize),
            eosToken: try fields.token("eos_token_id", vocabularySize: vocabularySize))
        try config.checkConsistency { field, expected in fields.wrong(field.ggufName, expected: expected) }
        return (config, family)
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
        case .groupCount: "expert_group_count"
        case .keptGroups: "expert_group_used_count"
        }
    }
}

extension RopeScaling {
    fileprivate static func gguf(
        _ fields: GGUFFields, contextLength: Int, headSize: Int, tensors: [String: Tensor]
    ) throws(FileError) -> RopeScaling? {
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
            throw FileError(
                .unsupported, file: fields.path, field: "metadata \(fields.key("rope.scaling.type"))",
                expected: "none, linear or yarn", found: "\"\(name)\"")
        }
    }

    /// LongRoPE's divisors, which GGUF stores as a tensor.
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
