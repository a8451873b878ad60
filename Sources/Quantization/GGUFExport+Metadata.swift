import Checkpoints
import Foundation
import FileFormats
import Tensors

extension GGUFExport {
    typealias Metadata = [(key: String, value: GGUFValue)]

    static func metadata(
        _ checkpoint: Checkpoint, mix: QuantizationMix, tokenizer: Metadata
    ) throws(FileError) -> Metadata {
        let own: Metadata = [
            ("general.file_type", .unsigned(mix.fileType)), ("general.quantization_version", .unsigned(2)),
        ]
        if checkpoint.isGGUF {
            let header = try GGUFFile(checkpoint.files[0]).header
            // Everything the file says stays, but for what is about the file itself.
            let dropped = own.map(\.key) + ["general.alignment", "split.no", "split.count", "split.tensors.count"]
            return header.keys.filter { !dropped.contains($0) }.compactMap { key in
                header.metadata[key].map { (key, $0) }
            } + own
        }
        guard let architecture = checkpoint.config.ggufArchitecture else {
            throw FileError(
                .unsupported, file: checkpoint.url.path, field: "architecture",
                found: checkpoint.config.architecture, hint: "MoEScope writes no GGUF file of this architecture")
        }
        let general: Metadata = [
            ("general.architecture", .string(Array(architecture.utf8))),
            ("general.type", .string(Array("model".utf8))),
            ("general.name", .string(Array(checkpoint.name.utf8))),
        ]
        return general + own + keys(checkpoint.config, architecture) + tokenizer
    }

    /// The config in GGUF's words.
    private static func keys(_ config: ModelConfig, _ architecture: String) -> Metadata {
        var result: Metadata = []
        func add(_ key: String, _ value: Int?) {
            if let value { result.append(("\(architecture).\(key)", .unsigned(UInt64(value)))) }
        }
        func add(_ key: String, _ value: Float?) {
            if let value { result.append(("\(architecture).\(key)", .float(Double(value)))) }
        }
        add("vocab_size", config.vocabularySize)
        add("context_length", config.contextLength)
        add("embedding_length", config.hiddenSize)
        add("block_count", config.layerCount)
        add("feed_forward_length", config.denseSize ?? config.experts.size)
        if config.ggufNamesExpertSize || config.denseSize != nil {
            add("expert_feed_forward_length", config.experts.size)
        }
        add("expert_shared_feed_forward_length", config.experts.sharedSize)
        add("expert_count", config.experts.count)
        add("expert_used_count", config.expertsPerToken)
        result.append(("\(architecture).expert_weights_norm", .bool(config.router.weigh.normalizes)))
        result += routerKeys(config, architecture)
        add("attention.head_count", config.attention.headCount)
        if let latent = config.attention.latent {
            // One head over latents; the heads' own sizes beside it.
            add("attention.head_count_kv", 1)
            add("attention.q_lora_rank", latent.queryRank)
            add("attention.kv_lora_rank", latent.rank)
            add("attention.key_length", latent.rank + config.attention.rotatedSize)
            add("attention.value_length", latent.rank)
            add("attention.key_length_mla", config.attention.headSize)
            add("attention.value_length_mla", latent.valueSize)
            add("attention.temperature_scale", config.attention.queryGrowth?.beta)
            add("attention.temperature_length", config.attention.queryGrowth?.period)
        } else {
            add("attention.head_count_kv", config.attention.keyValueHeadCount)
            add("attention.key_length", config.attention.headSize)
            add("attention.value_length", config.attention.headSize)
        }
        add("attention.sliding_window", config.ggufWindowPeriod == nil ? config.slidingWindow : config.commonWindow)
        add("attention.clamp_kqv", config.attention.projectionClip)
        // llama.cpp asks for this name in every family, layer norms included.
        add("attention.layer_norm_rms_epsilon", config.norm.epsilon)
        add("rope.dimension_count", config.attention.rotatedSize)
        add("rope.freq_base", config.attention.rotary.theta)
        if config.attention.scale != nil, config.attention.latent == nil {
            add("attention.scale", config.attention.scale)
            add("embedding_scale", config.multipliers.embedding)
            add("residual_scale", config.multipliers.residual)
            add("logit_scale", config.multipliers.logitDivisor)
        }
        if let scaling = config.attention.rotary.scaling { result += rotaryKeys(scaling, config, architecture) }
        return result
    }

    /// What files of newer architectures say about the router and about which layers have one.
    private static func routerKeys(_ config: ModelConfig, _ architecture: String) -> Metadata {
        var result: Metadata = []
        func add(_ key: String, _ value: Int) { result.append(("\(architecture).\(key)", .unsigned(UInt64(value)))) }
        if config.ggufCountsSharedExperts {
            add("expert_shared_count", (config.experts.sharedSize ?? 0) / config.experts.size)
        }
        if config.router.score == .sigmoid { add("expert_gating_func", 2) }
        if config.router.score == .softmax, config.attention.latent != nil { add("expert_gating_func", 1) }
        if config.router.weigh.scale != 1 {
            result.append(("\(architecture).expert_weights_scale", .float(Double(config.router.weigh.scale))))
        }
        if let groups = config.router.select.groups {
            add("expert_group_count", groups.count)
            add("expert_group_used_count", groups.kept)
        }
        if config.ggufCountsDenseLayers {
            let dense = config.denseSteps
            add("leading_dense_block_count", dense.leading)
            add("interleave_moe_layer_step", dense.step)
        }
        return result
    }

    /// Rotary scaling in GGUF's words, which llama.cpp reads as well. LongRoPE has no type: its tensors say it.
    private static func rotaryKeys(
        _ scaling: RopeScaling, _ config: ModelConfig, _ architecture: String
    ) -> Metadata {
        var result: Metadata = []
        func add(_ key: String, _ value: Float) {
            result.append(("\(architecture).rope.scaling.\(key)", .float(Double(value))))
        }
        let attention = scaling.shortAttentionFactor ?? scaling.attentionFactor
        result.append(
            ("\(architecture).rope.scaling.original_context_length", .unsigned(UInt64(scaling.originalContext))))
        switch scaling.kind {
        case .longRope: add("attn_factor", attention)
        case .linear:
            result.append(("\(architecture).rope.scaling.type", .string(Array("linear".utf8))))
            add("factor", scaling.factor)
            if attention != 1 { add("attn_factor", attention) }
        case .yarn:
            result.append(("\(architecture).rope.scaling.type", .string(Array("yarn".utf8))))
            add("factor", scaling.factor)
            add("yarn_beta_fast", scaling.betaFast)
            add("yarn_beta_slow", scaling.betaSlow)
            let stretch = 0.1 * Float(log(Double(max(1, scaling.factor))))
            if let scale = config.attention.scale, config.attention.latent != nil, stretch > 0 {
                // What scores are multiplied by beside 1/√d is a square; llama.cpp's converter writes a tenth of its part that
                // grows with the factor.
                let magnitude = (scale * Float(config.attention.headSize).squareRoot()).squareRoot()
                add("yarn_log_multiplier", 0.1 * (magnitude / attention - 1) / stretch)
                if attention != 1 { add("attn_factor", attention) }
            } else {
                add("attn_factor", attention / (stretch + 1))
            }
        }
        return result
    }
}
