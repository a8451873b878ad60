import Foundation
import FileFormats
import RouterPolicies
import Tensors

extension ModelConfig {
    /// Reads a GGUF file's metadata, every key checked on its own and against the others.
    static func gguf(_ weights: GGUFWeights, path: String) throws(FileError) -> ReadConfig {
        let metadata = weights.metadata
        guard let name = metadata["general.architecture"]?.string else {
            throw FileError(.missing, file: path, field: "metadata general.architecture")
        }
        guard let family = Family.gguf(name, metadata: metadata, shapes: weights.shapes) else {
            let known = Set(Family.all.compactMap(\.ggufArchitecture)).sorted().joined(separator: ", ")
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
        let latent = try latent(fields, family, weights.shapes)
        var headSize = latent?.headSize
        if headSize == nil { headSize = try fields.optionalSize("attention.key_length") }
        if headSize == nil { headSize = try fields.optionalSize("rope.dimension_count") }
        if latent == nil, let value = try fields.optionalSize("attention.value_length"), let headSize, value != headSize
        {
            throw fields.wrong("attention.value_length", expected: "attention.key_length \(headSize)")
        }
        let rotated = try fields.optionalSize("rope.dimension_count")
        if let rotated, let headSize, rotated != headSize, family.rotary.partByDefault == nil, latent == nil {
            throw fields.wrong("rope.dimension_count", expected: "the head size \(headSize)")
        }
        var expertSize = try fields.optionalSize("expert_feed_forward_length")
        if expertSize == nil { expertSize = try fields.size("feed_forward_length") }
        guard let vocabularySize = weights.shapes["token_embd.weight"]?.first else {
            throw FileError(
                .missing, file: path, field: "tensor token_embd.weight",
                expected: "shape [vocabulary, \(hiddenSize)]",
                found: "no such tensor")
        }
        var epsilon = try fields.optionalNumber("attention.layer_norm_rms_epsilon")
        if epsilon == nil { epsilon = try fields.optionalNumber("attention.layer_norm_epsilon") }
        let contextLength = try fields.size("context_length")
        var notices: [String] = []

        let shapes = weights.shapes
        let size = headSize ?? hiddenSize / headCount
        // What llama.cpp assumes where the file does not say.
        var rotary = RotaryConfig(
            theta: try fields.optionalNumber("rope.freq_base") ?? 10_000, layout: family.ggufRotaryLayout,
            skipsFullLayers: family.rotary.skipsFullLayers)
        if let rotated, rotated != size { rotary.size = rotated }
        rotary.scaling = try RopeScaling.gguf(
            fields, contextLength: contextLength, headSize: rotary.size ?? size, tensors: weights.tensors)
        var scale: Float?
        if latent != nil { scale = try latentScale(fields, &rotary.scaling, headSize: size) }
        if family.architecture == "gpt_oss", rotary.scaling?.kind == .yarn {
            // The file has no word for it, and every gpt-oss has it so.
            rotary.scaling?.roundsRamp = false
        }
        if family.rotary.hasMagnitudes, rotary.scaling?.isComputedMagnitude(contextLength: contextLength) == true {
            notices.append(
                "GGUF metadata \(fields.key("rope.scaling.attn_factor")) is what llama.cpp's converter computes from the context "
                    + "lengths; the checkpoint's own short_mscale and long_mscale are not in the file. Where they are others "
                    + "(Phi-3.5-MoE: 1.243), this is another model than the checkpoint, with another routing")
        }
        var attention = AttentionConfig(
            headCount: headCount,
            keyValueHeadCount: latent == nil
                ? try fields.optionalSize("attention.head_count_kv") ?? headCount : headCount,
            headSize: size, rotary: rotary,
            queryKeyNorm: family.queryKeyNormField == nil || shapes["blk.0.attn_q_norm.weight"] != nil
                ? family.queryKeyNorm : nil,
            projectionClip: family.clipField == nil ? nil : try fields.optionalNumber("attention.clamp_kqv"),
            hasBias: shapes["blk.0.attn_q.bias"] != nil, hasOutputBias: shapes["blk.0.attn_output.bias"] != nil,
            normalizesAfterRotation: family.normalizesAfterRotation, gatesHeads: family.gatesHeads,
            hasSinks: family.hasSinks, latent: latent?.config)
        attention.scale = scale
        if family.rotary.growsQueries, let beta = try fields.optionalNumber("attention.temperature_scale"), beta != 0 {
            attention.queryGrowth = .init(
                beta: beta,
                period: try fields.optionalSize("attention.temperature_length") ?? rotary.scaling?.originalContext
                    ?? contextLength)
        }
        var multipliers = Multipliers()
        // llama.cpp always multiplies.
        if family.embeddingScaleField != nil { multipliers.embedding = Float(Double(hiddenSize).squareRoot()) }
        if family.hasMultipliers {
            attention.scale = try fields.optionalNumber("attention.scale")
            multipliers = Multipliers(
                embedding: try fields.optionalNumber("embedding_scale") ?? 1,
                residual: try fields.optionalNumber("residual_scale") ?? 1,
                logitDivisor: try fields.optionalNumber("logit_scale") ?? 1)
        }
        // GGUF has no field that lists dense layers: those without a router are dense.
        let layers = try layers(fields, family, shapes)
        var experts = ExpertsConfig(
            count: try fields.size("expert_count"), size: expertSize ?? 1, clamp: family.clamp)
        if let shared = family.sharedExpert {
            experts.sharedSize = try sharedSize(fields, shared, expertSize: experts.size, layers, shapes)
            experts.sharedIsGated = shared.isGated && experts.sharedSize != nil
        }
        var router = try router(fields, family, layers, shapes)
        guard router.score != .sparseMixer || router.expertsPerToken == 2 else {
            throw fields.wrong("expert_used_count", expected: "2: SparseMixer is made for two experts per token")
        }
        // Where transformers' class always divides, a file that says otherwise is not another model.
        if family.routerFields.normalizes != nil {
            router.weigh.normalizes = try fields.flag(
                "expert_weights_norm", default: family.ggufRenormalizesExpertWeights)
        } else if let said = fields["expert_weights_norm"]?.bool, said != router.weigh.normalizes {
            notices.append(
                "GGUF metadata \(fields.key("expert_weights_norm")) (\(said)) is not used: \(name) has no such setting")
        }
        let hasDense = layers.contains { $0.feedForward == .dense }
        var config = ModelConfig(
            architecture: family.architecture,
            vocabularySize: vocabularySize,
            hiddenSize: hiddenSize,
            contextLength: contextLength,
            layers: layers,
            norm: NormConfig(
                kind: family.normKind, epsilon: epsilon ?? family.defaults.normEpsilon,
                placement: family.normPlacement),
            attention: attention,
            router: router,
            experts: experts,
            denseSize: hasDense ? try fields.size("feed_forward_length") : nil,
            multipliers: multipliers,
            tiesOutputToEmbedding: shapes["output.weight"] == nil,
            hasOutputBias: shapes["output.bias"] != nil,
            bosToken: try fields.token("bos_token_id", vocabularySize: vocabularySize),
            eosToken: try fields.token("eos_token_id", vocabularySize: vocabularySize))
        try config.checkConsistency { field, expected in fields.wrong(field.ggufName, expected: expected) }
        config.router.select.dropSingleGroup()
        return ReadConfig(config: config, family: family, notices: notices + fields.unreadNotices())
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
