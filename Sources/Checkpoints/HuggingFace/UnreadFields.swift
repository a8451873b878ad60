import FileFormats

/// Fields of `config.json` that a reader of the file would take to matter, and that this family's reference does not read.
///
/// A field counts as read where somebody asked `ConfigFile` for it. What is left is named, unless its value asks for nothing
/// else than what is computed anyway.
enum UnreadFields {
    /// - Parameter file: after the config was read from it.
    static func notices(_ file: ConfigFile, _ config: ModelConfig) -> [String] {
        file.unread.compactMap { field, value in
            guard let isNeutral = neutral[field], !isNeutral(value, config, file) else { return nil }
            return "config.json: \(field) (\(value.kindDescription)) is not used: \(config.architecture) has no such "
                + "setting in transformers"
        }
    }

    private typealias Neutral = @Sendable (JSON, ModelConfig, ConfigFile) -> Bool

    private static func number(_ expected: Double...) -> Neutral {
        { value, _, _ in value.double.map(expected.contains) ?? false }
    }

    private static func number(_ expected: @escaping @Sendable (ModelConfig) -> Double) -> Neutral {
        { value, config, _ in
            // Some configs repeat the number for every layer.
            let list = value.array
            let single = list?.allSatisfy { $0.double == list?.first?.double } ?? true ? list?.first ?? value : value
            return single.double.map { abs($0 - expected(config)) <= 1e-6 * abs(expected(config)) } ?? false
        }
    }

    /// DeepSeek's name for sigmoid scores with a bias that counts for choosing only.
    private static func isBiasedSigmoid(_ value: JSON, _ config: ModelConfig) -> Bool {
        value.string == "noaux_tc" && config.router.score == .sigmoid && config.router.select.addsBias
    }

    private static func flag(_ expected: @escaping @Sendable (ModelConfig) -> Bool) -> Neutral {
        { value, config, _ in value.bool == expected(config) }
    }

    /// What each field says where it changes nothing.
    private static let neutral: [String: Neutral] = [
        // The router.
        "norm_topk_prob": flag { $0.router.weigh.normalizes },
        "num_experts": number { Double($0.experts.count) },
        "num_local_experts": number { Double($0.experts.count) },
        "n_routed_experts": number { Double($0.experts.count) },
        "moe_topk": number { Double($0.expertsPerToken) },
        "moe_top_k": number { Double($0.expertsPerToken) },
        "num_experts_per_token": number { Double($0.expertsPerToken) },
        "moe_intermediate_size": number { Double($0.experts.size) },
        "expert_intermediate_size": number { Double($0.experts.size) },
        "scoring_func": { value, config, _ in
            value.string == config.router.score.rawValue || isBiasedSigmoid(value, config)
        },
        "score_function": { value, config, _ in value.string == config.router.score.rawValue },
        "moe_router_activation_func": { value, config, _ in value.string == config.router.score.rawValue },
        "topk_method": { value, config, _ in value.string == "greedy" || isBiasedSigmoid(value, config) },
        "routed_scaling_factor": number(1),
        "n_group": number(0, 1),
        "topk_group": number(0, 1),
        "use_expert_bias": flag { $0.router.select.addsBias },
        "moe_router_enable_expert_bias": flag { $0.router.select.addsBias },
        "use_routing_bias": flag { $0.router.select.addsBias },
        "route_norm": flag { $0.router.weigh.normalizes },
        // Which layers have experts, and experts for every token.
        "shared_expert_intermediate_size": number { Double($0.experts.sharedSize ?? 0) },
        "shared_intermediate_size": number { Double($0.experts.sharedSize ?? 0) },
        "n_shared_experts": number(0),
        "num_shared_experts": number(0),
        "decoder_sparse_step": number(1),
        "moe_layer_freq": number(1),
        "interleave_moe_layer_step": number(1),
        "first_k_dense_replace": number { Double($0.layers.prefix { $0.feedForward == .dense }.count) },
        "mlp_only_layers": { value, _, _ in value.array?.isEmpty ?? false },
        // Attention.
        "sliding_window": { value, config, file in
            file["use_sliding_window"]?.bool == false || (value.int ?? 0) >= config.contextLength || value.int == 0
        },
        "use_sliding_window": { value, config, _ in value.bool == true || config.slidingWindow == nil },
        "max_window_layers": { value, config, _ in
            config.slidingWindow == nil || (value.int ?? 0) >= config.layerCount
        },
        "layer_types": { value, config, _ in
            let types = value.array?.map(\.string) ?? []
            return types.count == config.layerCount
                && zip(types, config.layers).allSatisfy {
                    $0 == ($1.attention == .full ? "full_attention" : "sliding_attention")
                }
        },
        "attention_bias": flag { $0.attention.hasBias && $0.attention.hasOutputBias },
        "qkv_bias": flag { $0.attention.hasBias },
        "clip_qkv": { _, _, _ in false },
        "use_qk_norm": flag { $0.attention.queryKeyNorm != nil },
        "qk_layernorm": flag { $0.attention.queryKeyNorm != nil },
        "attention_multiplier": number { 1 / Double($0.attention.headSize).squareRoot() },
        "query_pre_attn_scalar": number { Double($0.attention.headSize) },
        "attn_logit_softcapping": number(0),
        "partial_rotary_factor": number(1),
        "rotary_pct": number(1),
        "rotary_base": number { Double($0.attention.rotary.theta) },
        "rotary_emb_base": number { Double($0.attention.rotary.theta) },
        // Norms, activation, output.
        "layer_norm_eps": number { Double($0.norm.epsilon) },
        "layer_norm_epsilon": number { Double($0.norm.epsilon) },
        "norm_eps": number { Double($0.norm.epsilon) },
        "norm_epsilon": number { Double($0.norm.epsilon) },
        "hidden_activation": { value, _, _ in ["silu", "swish"].contains(value.string) },
        "final_logit_softcapping": number(0),
        "embedding_multiplier": number(1),
        "residual_multiplier": number(1),
        "logits_scaling": number(1),
        "logit_scale": number(1),
        "lm_head_bias": flag { $0.hasOutputBias },
    ]
}
