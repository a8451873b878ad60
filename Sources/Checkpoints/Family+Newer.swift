import RouterPolicies

/// Families of 2025 whose attention is grouped: sigmoid scores, biases that count for choosing only, norms after the branches.
///
/// As transformers 5.23 has them: `configuration_*.py`, `modeling_*.py` and `conversion_mapping.py`.
extension Family {
    /// σ(z), with a bias that counts for choosing only, and groups of experts (`route_tokens_to_experts`, arXiv 2412.19437 §2.1.2).
    static let groupedSigmoid = RouterPolicy(
        score: .sigmoid,
        select: .init(expertsPerToken: 1, addsBias: true, groups: .init(count: 1, kept: 1, scoring: .sumOfTwoLargest)),
        weigh: .init(normalizes: false, epsilon: 1e-20))
    static let groupedFields = RouterFields(
        normalizes: "norm_topk_prob", scale: "routed_scaling_factor", groupCount: "n_group", keptGroups: "topk_group")
    static let sharedNames: [TensorRole: String] = [
        .sharedGate: "mlp.shared_experts.gate_proj.weight", .sharedUp: "mlp.shared_experts.up_proj.weight",
        .sharedDown: "mlp.shared_experts.down_proj.weight",
    ]

    /// DeepSeekMoE-16B (arXiv 2401.06066), whose code comes with it: Llama's attention, softmax scores, shared experts.
    static let deepSeekV1 = Family(
        architecture: "deepseek", ggufArchitecture: "deepseek", expertCountFields: ["n_routed_experts"],
        expertSizeField: "moe_intermediate_size", defaults: Defaults(contextLength: 2048, normEpsilon: 1e-6),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")], ggufRotaryLayout: .pairs,
        routerFields: RouterFields(normalizes: "norm_topk_prob"),
        sharedExpert: SharedExpert(countField: "n_shared_experts"),
        denseLayers: DenseLayers(firstField: "first_k_dense_replace"), requiredNumbers: ["moe_layer_freq": 1],
        names: sharedNames)

    /// dots.llm1 (arXiv 2506.05767).
    static let dots = Family(
        architecture: "dots1", ggufArchitecture: "dots1", expertCountFields: ["num_local_experts", "n_routed_experts"],
        expertSizeField: "moe_intermediate_size",
        defaults: Defaults(contextLength: 2048, keyValueHeads: 32, normEpsilon: 1e-6), routerNames: ["mlp.gate.weight"],
        expertLayouts: [.projections, .inMemory("mlp")], queryKeyNorm: .perHead, router: groupedSigmoid,
        routerFields: groupedFields, sharedExpert: SharedExpert(countField: "n_shared_experts"),
        windows: .perLayer(.from(field: "max_window_layers", byDefault: 62), byDefault: 4096),
        denseLayers: DenseLayers(firstField: "first_k_dense_replace"), names: sharedNames)

    /// GLM-4.5 and GLM-4.5-Air (arXiv 2508.06471). Layers for predicting several tokens are left out, as in transformers.
    static let glm4 = Family(
        architecture: "glm4_moe", ggufArchitecture: "glm4moe",
        expertCountFields: ["num_local_experts", "n_routed_experts"], expertSizeField: "moe_intermediate_size",
        defaults: Defaults(contextLength: 131_072, expertsPerToken: 8, keyValueHeads: 8, normalizes: true),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")], queryKeyNorm: .perHead,
        queryKeyNormField: "use_qk_norm", router: groupedSigmoid, routerFields: groupedFields,
        attentionBias: AttentionBias(field: "attention_bias", isDefault: false, includesOutput: false),
        sharedExpert: SharedExpert(countField: "n_shared_experts", byDefault: 1), leavesOutLastLayers: true,
        denseLayers: DenseLayers(firstField: "first_k_dense_replace", firstByDefault: 1),
        rotary: RotaryFields(partByDefault: 0.5), names: sharedNames,
        ggufNames: [.feedForwardNorm: "post_attention_norm.weight"])

    /// ERNIE 4.5 (`Ernie4_5_MoeForCausalLM`): softmax scores, and a bias that counts for choosing only.
    static let ernie = Family(
        architecture: "ernie4_5_moe", ggufArchitecture: "ernie4_5-moe",
        expertCountFields: ["num_experts", "moe_num_experts"], expertsPerTokenFields: ["num_experts_per_tok", "moe_k"],
        expertSizeField: "moe_intermediate_size",
        defaults: Defaults(
            contextLength: 131_072, expertsPerToken: 6, keyValueHeads: 4, ropeTheta: 500_000, tiesOutput: true),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")], rotaryLayout: .pairs,
        ggufRotaryLayout: .pairs,
        router: RouterPolicy(
            score: .softmax, select: .init(expertsPerToken: 1, addsBias: true),
            weigh: .init(normalizes: true, leastSum: 1e-12)),
        routerFields: RouterFields(leastSum: "moe_norm_min"), ggufRenormalizesExpertWeights: true, attentionBias: nil,
        sharedExpert: SharedExpert(countField: "moe_num_shared_experts", byDefault: 2, isOptional: true),
        denseLayers: DenseLayers(
            firstField: "moe_layer_start_index", stepField: "moe_layer_interval", lastField: "moe_layer_end_index",
            firstByDefault: 1),
        refusedFlags: ["use_bias"],
        names: sharedNames.merging([.routerSelectionBias: "mlp.moe_statics.e_score_correction_bias"]) { $1 })

    /// MiniMax-M2.
    static let miniMax = Family(
        architecture: "minimax_m2", ggufArchitecture: "minimax-m2",
        expertCountFields: ["num_experts", "num_local_experts"],
        defaults: Defaults(
            contextLength: 196_608, expertsPerToken: 8, keyValueHeads: 8, ropeTheta: 5e6, normEpsilon: 1e-6,
            headSize: 128),
        routerNames: ["block_sparse_moe.gate.weight", "mlp.gate.weight"], expertLayouts: ExpertLayout.mixtral,
        queryKeyNorm: .wholeProjection,
        router: RouterPolicy(
            score: .sigmoid, select: .init(expertsPerToken: 1, addsBias: true), weigh: .init(normalizes: true)),
        ggufRenormalizesExpertWeights: true, attentionBias: nil,
        rotary: RotaryFields(partByDefault: 1, sizeField: "rotary_dim"),
        names: [.routerSelectionBias: "block_sparse_moe.e_score_correction_bias"], ggufNamesExpertSize: true)

    /// Hunyuan-A13B (`HunYuanMoEV1ForCausalLM`). Its norms of q and k come after the rotary embedding.
    static let hunyuan = Family(
        architecture: "hunyuan_v1_moe", ggufArchitecture: "hunyuan-moe",
        expertCountFields: ["num_local_experts", "num_experts"],
        expertsPerTokenFields: ["num_experts_per_tok", "moe_topk"],
        defaults: Defaults(contextLength: 2048, expertsPerToken: 1), routerNames: ["mlp.gate.wg.weight"],
        expertLayouts: [.projections, .inMemory("mlp")], queryKeyNorm: .perHead, normalizesAfterRotation: true,
        router: .softmax(expertsPerToken: 1, normalizes: true), ggufRenormalizesExpertWeights: true,
        sharedExpert: SharedExpert(sizeField: "intermediate_size"), rotary: RotaryFields(hasAlpha: true),
        names: [
            .queryNorm: "self_attn.query_layernorm.weight", .keyNorm: "self_attn.key_layernorm.weight",
            .sharedGate: "mlp.shared_mlp.gate_proj.weight", .sharedUp: "mlp.shared_mlp.up_proj.weight",
            .sharedDown: "mlp.shared_mlp.down_proj.weight",
        ], ggufNamesExpertSize: true)

    /// Granite 3 MoE with an expert that every token goes through.
    static let graniteShared = Family(
        architecture: "granitemoeshared", ggufArchitecture: "granitemoe", defaults: granite.defaults,
        routerNames: granite.routerNames, expertLayouts: granite.expertLayouts, ggufRotaryLayout: .pairs,
        router: granite.router, ggufRenormalizesExpertWeights: true,
        sharedExpert: SharedExpert(
            sizeField: "shared_intermediate_size", byDefault: 0, isOptional: true,
            fusedName: "shared_mlp.input_linear.weight"),
        hasMultipliers: true, names: [.sharedDown: "shared_mlp.output_linear.weight"])

    /// FlexOlmo (arXiv 2507.07024): OLMoE's router, norms after attention and experts, none before. llama.cpp has no such
    /// architecture.
    static let flexOlmo = Family(
        architecture: "flex_olmo", ggufArchitecture: nil, expertCountFields: ["num_local_experts", "num_experts"],
        defaults: Defaults(contextLength: 4096, expertsPerToken: 5, ropeTheta: 500_000, normEpsilon: 1e-6),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")], normPlacement: .after,
        queryKeyNorm: .wholeProjection, routerFields: RouterFields(normalizes: "norm_topk_prob"),
        names: [
            .attentionPostNorm: "post_attention_layernorm.weight",
            .feedForwardPostNorm: "post_feedforward_layernorm.weight",
        ])

    /// AFMoE (Arcee's Trinity).
    static let afmoe = Family(
        architecture: "afmoe", ggufArchitecture: "afmoe", expertCountFields: ["num_experts"],
        expertSizeField: "moe_intermediate_size",
        defaults: Defaults(contextLength: 16_384, expertsPerToken: 6, headSize: 128),
        routerNames: ["mlp.router.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")], normPlacement: .both,
        queryKeyNorm: .perHead, gatesHeads: true,
        router: RouterPolicy(
            score: .sigmoid, select: .init(expertsPerToken: 1, addsBias: true),
            weigh: .init(normalizes: true, epsilon: 1e-20)),
        routerFields: RouterFields(scale: "route_scale"), ggufRenormalizesExpertWeights: true,
        sharedExpert: SharedExpert(countField: "num_shared_experts", byDefault: 2),
        windows: .perLayer(.period(field: "global_attn_every_n_layers", byDefault: 4), byDefault: 1024),
        ggufWindowPeriod: 4, denseLayers: DenseLayers(firstField: "num_dense_layers", firstByDefault: 1),
        embeddingScaleField: "mup_enabled", rotary: RotaryFields(skipsFullLayers: true),
        names: sharedNames.merging([
            .attentionGate: "self_attn.gate_proj.weight", .attentionPostNorm: "post_attention_layernorm.weight",
            .feedForwardNorm: "pre_mlp_layernorm.weight", .feedForwardPostNorm: "post_mlp_layernorm.weight",
            .routerSelectionBias: "mlp.expert_bias",
        ]) { $1 })

    /// Ling 2 and Ring 2 (`BailingMoeV2ForCausalLM`, arXiv 2510.22115), whose code comes with them: GLM-4.5's layers under other
    /// names. Its router divides the weights by their sum whatever the config says.
    static let ling = Family(
        architecture: "bailing_moe", ggufArchitecture: "bailingmoe2", expertCountFields: ["num_experts"],
        expertSizeField: "moe_intermediate_size",
        defaults: Defaults(
            contextLength: 32_768, expertsPerToken: 8, keyValueHeads: 4, ropeTheta: 600_000, normEpsilon: 1e-6,
            headSize: 128),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections], queryKeyNorm: .perHead,
        router: RouterPolicy(
            score: .sigmoid, select: groupedSigmoid.select, weigh: .init(normalizes: true, epsilon: 1e-20)),
        routerFields: RouterFields(scale: "routed_scaling_factor", groupCount: "n_group", keptGroups: "topk_group"),
        attentionBias: nil, sharedExpert: SharedExpert(countField: "num_shared_experts"),
        leavesOutLastLayers: true, denseLayers: DenseLayers(firstField: "first_k_dense_replace", firstByDefault: 1),
        refusedFlags: ["use_bias", "use_qkv_bias", "norm_head"], requiredFlags: ["use_qk_norm"],
        rotary: RotaryFields(partByDefault: 0.5, sizeField: "rotary_dim"),
        fusedAttention: "attention.query_key_value.weight",
        names: sharedNames.merging([
            .embedding: "model.word_embeddings.weight", .queryNorm: "attention.query_layernorm.weight",
            .keyNorm: "attention.key_layernorm.weight", .attentionOutput: "attention.dense.weight",
            .routerSelectionBias: "mlp.gate.expert_bias",
        ]) { $1 },
        ggufNames: [.query: fusedGGUFName, .key: fusedGGUFName, .value: fusedGGUFName])
    private static let fusedGGUFName = "attn_qkv.weight"

    /// gpt-oss (arXiv 2508.10925). A softmax over the chosen logits is the renormalized softmax over all.
    static let gptOSS = Family(
        architecture: "gpt_oss", ggufArchitecture: "gpt-oss", expertCountFields: ["num_experts", "num_local_experts"],
        defaults: Defaults(
            contextLength: 131_072, expertsPerToken: 4, keyValueHeads: 8, ropeTheta: 150_000, headSize: 64),
        routerNames: ["mlp.router.weight"], expertLayouts: [.interleaved("mlp.experts")], hasSinks: true,
        clamp: .init(alpha: 1.702, limit: 7), router: .softmax(expertsPerToken: 1, normalizes: true),
        ggufRenormalizesExpertWeights: true,
        attentionBias: AttentionBias(field: "attention_bias", isDefault: true, includesOutput: true),
        windows: .perLayer(.period(field: nil, byDefault: 2), byDefault: 128), ggufWindowPeriod: 2,
        rotary: RotaryFields(needsSection: true), names: [.routerBias: "mlp.router.bias"],
        ggufNamesExpertSize: true, ggufNames: [.feedForwardNorm: "post_attention_norm.weight"])
}
