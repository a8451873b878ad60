import RouterPolicies

/// Families with latent attention, as transformers 5.23 has them. GGUF files of all of them are of one architecture, and what they
/// say about scores tells them apart.
extension Family {
    /// DeepSeek-V2 and V2-Lite (arXiv 2405.04434). `DeepseekV2TopkRouter` never divides the weights by their sum.
    static let deepSeekV2 = Family(
        architecture: "deepseek_v2", ggufArchitecture: "deepseek2",
        expertCountFields: ["num_experts", "n_routed_experts"],
        expertSizeField: "moe_intermediate_size", defaults: Defaults(contextLength: 2048, normEpsilon: 1e-6),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")], rotaryLayout: .pairs,
        ggufRotaryLayout: .pairs, latent: LatentDefaults(),
        router: RouterPolicy(
            score: .softmax,
            select: .init(expertsPerToken: 1, groups: .init(count: 1, kept: 1, scoring: .largest)),
            weigh: .init(normalizes: false)),
        routerFields: RouterFields(
            scale: "routed_scaling_factor", method: "topk_method", groupCount: "n_group", keptGroups: "topk_group"),
        attentionBias: nil, sharedExpert: SharedExpert(countField: "n_shared_experts", byDefault: 2),
        denseLayers: DenseLayers(firstField: "first_k_dense_replace"), refusedFlags: ["attention_bias", "mlp_bias"],
        names: sharedNames)

    /// DeepSeek-V3 and R1 (arXiv 2412.19437), Moonlight and Kimi-K2. Layers for predicting several tokens are left out.
    static let deepSeekV3 = Family(
        architecture: "deepseek_v3", ggufArchitecture: "deepseek2",
        expertCountFields: ["num_local_experts", "n_routed_experts"], expertSizeField: "moe_intermediate_size",
        defaults: Defaults(contextLength: 4096, expertsPerToken: 8, normEpsilon: 1e-6, normalizes: true),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")],
        rotaryLayout: .pairs, ggufRotaryLayout: .pairs, latent: LatentDefaults(pairsField: "rope_interleave"),
        router: RouterPolicy(
            score: .sigmoid,
            select: .init(
                expertsPerToken: 1, addsBias: true, groups: .init(count: 8, kept: 4, scoring: .sumOfTwoLargest)),
            weigh: .init(normalizes: true, epsilon: 1e-20, scale: 2.5)),
        routerFields: groupedFields, attentionBias: nil,
        sharedExpert: SharedExpert(countField: "n_shared_experts", byDefault: 1), leavesOutLastLayers: true,
        denseLayers: DenseLayers(firstField: "first_k_dense_replace", firstByDefault: 3),
        refusedFlags: ["attention_bias"], names: sharedNames)

    /// GLM-4.7-Flash (`Glm4MoeLiteForCausalLM`): GLM-4.5's experts with DeepSeek-V3's attention.
    static let glm4Lite = Family(
        architecture: "glm4_moe_lite", ggufArchitecture: "deepseek2",
        expertCountFields: ["num_local_experts", "n_routed_experts"], expertSizeField: "moe_intermediate_size",
        defaults: Defaults(contextLength: 202_752, expertsPerToken: 4, keyValueHeads: 20, normalizes: true),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")],
        rotaryLayout: .pairs, ggufRotaryLayout: .pairs,
        latent: LatentDefaults(queryRank: 768, unrotatedSize: 192, valueSize: 256, pairsField: "rope_interleave"),
        router: RouterPolicy(
            score: .sigmoid,
            select: .init(
                expertsPerToken: 1, addsBias: true, groups: .init(count: 1, kept: 1, scoring: .sumOfTwoLargest)),
            weigh: .init(normalizes: true, epsilon: 1e-20, scale: 1.8)),
        routerFields: groupedFields, attentionBias: nil,
        sharedExpert: SharedExpert(countField: "n_shared_experts", byDefault: 1), leavesOutLastLayers: true,
        denseLayers: DenseLayers(typesField: "mlp_layer_types", firstByDefault: 1),
        refusedFlags: ["attention_bias"], rotary: RotaryFields(refusesPart: true), names: sharedNames)

    /// Mistral Small 4 (`Mistral4ForCausalLM`): DeepSeek's attention with queries that grow beyond the original context, and a
    /// router of softmax scores whose groups are scored by the sum of their two best.
    static let mistral4 = Family(
        architecture: "mistral4", ggufArchitecture: "mistral4",
        expertCountFields: ["num_local_experts", "n_routed_experts"], expertSizeField: "moe_intermediate_size",
        defaults: Defaults(
            contextLength: 1_048_576, expertsPerToken: 4, keyValueHeads: 32, normEpsilon: 1e-6, normalizes: true),
        routerNames: ["mlp.gate.weight"], expertLayouts: [.projections, .inMemory("mlp")],
        rotaryLayout: .pairs, ggufRotaryLayout: .pairs,
        latent: LatentDefaults(
            queryRank: 1024, rank: 256, unrotatedSize: 64, pairsField: "rope_interleave"),
        router: RouterPolicy(
            score: .softmax,
            select: .init(expertsPerToken: 1, groups: .init(count: 1, kept: 1, scoring: .sumOfTwoLargest)),
            weigh: .init(normalizes: true, epsilon: 1e-20)),
        routerFields: groupedFields, attentionBias: nil,
        sharedExpert: SharedExpert(countField: "n_shared_experts", byDefault: 1),
        denseLayers: DenseLayers(firstField: "first_k_dense_replace"), refusedFlags: ["attention_bias"],
        rotary: RotaryFields(hasLatentPart: true, growsQueries: true, needsSection: true), names: sharedNames)
}
