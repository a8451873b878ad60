import RouterPolicies

/// Each family as its reference has it: transformers 5.24, `configuration_*.py`, `modeling_*.py` and `conversion_mapping.py`.
extension Family {
    static let all: [Family] = [
        .mixtral, .olmoe, .qwen2, .qwen3, .granite, .graniteShared, .phi, .dots, .glm4, .ernie, .miniMax, .hunyuan,
        .flexOlmo, .afmoe, .ling, .gptOSS, .deepSeekV1, .deepSeekV2, .deepSeekV3, .glm4Lite, .mistral4,
    ]

    /// Mixtral-8x7B and 8x22B (arXiv 2401.04088). `MixtralTopKRouter` divides the weights by their sum whatever the config says.
    static let mixtral = Family(
        architecture: "mixtral", ggufArchitecture: "llama", expertCountFields: ["num_experts", "num_local_experts"],
        defaults: Defaults(contextLength: 131_072, expertsPerToken: 2, keyValueHeads: 8, ropeTheta: 1e6),
        routerNames: ["block_sparse_moe.gate.weight", "mlp.gate.weight"], expertLayouts: ExpertLayout.mixtral,
        ggufRotaryLayout: .pairs, router: .softmax(expertsPerToken: 2, normalizes: true),
        ggufRenormalizesExpertWeights: true, attentionBias: nil, windows: .everyLayer)

    /// OLMoE (arXiv 2409.02060). Its mask has no window.
    static let olmoe = Family(
        architecture: "olmoe", ggufArchitecture: "olmoe", expertCountFields: ["num_local_experts", "num_experts"],
        defaults: Defaults(contextLength: 4096, expertsPerToken: 8), routerNames: ["mlp.gate.weight"],
        expertLayouts: [.projections, .inMemory("mlp")], queryKeyNorm: .wholeProjection,
        routerFields: RouterFields(normalizes: "norm_topk_prob"), clipField: "clip_qkv")

    /// Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671).
    static let qwen2 = Family(
        architecture: "qwen2_moe", ggufArchitecture: "qwen2moe", expertCountFields: ["num_experts"],
        expertSizeField: "moe_intermediate_size",
        defaults: Defaults(contextLength: 32_768, expertsPerToken: 4, keyValueHeads: 16, normEpsilon: 1e-6),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")],
        routerFields: RouterFields(normalizes: "norm_topk_prob"),
        attentionBias: AttentionBias(field: "qkv_bias", isDefault: true, includesOutput: false),
        sharedExpert: SharedExpert(sizeField: "shared_expert_intermediate_size", isGated: true),
        windows: .perLayerIfUsed,
        denseLayers: DenseLayers(stepField: "decoder_sparse_step", listField: "mlp_only_layers"))

    /// Qwen3-MoE (arXiv 2505.09388).
    static let qwen3 = Family(
        architecture: "qwen3_moe", ggufArchitecture: "qwen3moe",
        expertCountFields: ["num_local_experts", "num_experts"],
        expertSizeField: "moe_intermediate_size",
        defaults: Defaults(contextLength: 32_768, expertsPerToken: 8, keyValueHeads: 4, normEpsilon: 1e-6),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")], queryKeyNorm: .perHead,
        routerFields: RouterFields(normalizes: "norm_topk_prob"), ggufRenormalizesExpertWeights: true,
        windows: .everyLayerIfUsed,
        denseLayers: DenseLayers(stepField: "decoder_sparse_step", listField: "mlp_only_layers"))

    /// Granite 3 MoE. A softmax over the chosen logits is the renormalized softmax over all. Its mask has no window.
    static let granite = Family(
        architecture: "granitemoe", ggufArchitecture: "granitemoe",
        defaults: Defaults(contextLength: 2048, expertsPerToken: 2, normEpsilon: 1e-6),
        routerNames: ["block_sparse_moe.router.layer.weight", "block_sparse_moe.router.weight"],
        expertLayouts: [.linear, .inMemory("block_sparse_moe")], ggufRotaryLayout: .pairs,
        router: .softmax(expertsPerToken: 1, normalizes: true), ggufRenormalizesExpertWeights: true,
        hasMultipliers: true)

    /// Phi-3.5-MoE (arXiv 2404.14219, 2409.12136).
    static let phi = Family(
        architecture: "phimoe", ggufArchitecture: "phimoe",
        defaults: Defaults(contextLength: 131_072, expertsPerToken: 2, keyValueHeads: 8, ropeTheta: 1e6),
        routerNames: [
            "block_sparse_moe.gate.weight", "mlp.router.weight", "mlp.gate.weight", "block_sparse_moe.router.weight",
        ],
        expertLayouts: ExpertLayout.mixtral, normKind: .layer,
        router: RouterPolicy(
            score: .sparseMixer, jitter: 0.01, select: .init(expertsPerToken: 2), weigh: .init(normalizes: false)),
        routerFields: RouterFields(jitter: "router_jitter_noise"), windows: .everyLayer,
        outputBiasField: "lm_head_bias", rotary: RotaryFields(hasMagnitudes: true, outerOriginalContextFirst: false))
}
