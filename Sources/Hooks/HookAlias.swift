/// A name that another tool gives to one of our hook points. A name is accepted only where the point holds that tool's value.
public struct HookAlias: Sendable {
    /// The tool whose name it is.
    public let tool: String
    /// The name without its layer.
    public let name: String
    public let site: HookSite
    /// What to know about the other tool's value.
    public let remark: String?
    /// Models that the name is refused for.
    let rules: [HookNaming.Rule]

    private init(
        _ tool: String, _ name: String, _ site: HookSite, _ remark: String? = nil, refused rules: [HookNaming.Rule] = []
    ) {
        self.tool = tool
        self.name = name
        self.site = site
        self.remark = remark
        self.rules = rules
    }

    /// Why the name is not accepted for a model; nil: it is.
    public func refusal(for model: HookNaming) -> String? {
        for rule in rules { if let reason = model.refusal(rule) { return reason } }
        return nil
    }

    /// Every alias, by tool. TransformerLens names follow `blocks.N.`, Hugging Face names `model.layers.N.`, llama.cpp
    /// names are followed by `-N`.
    public static let all: [HookAlias] = transformerLens + huggingFace + llama

    /// Checked against TransformerLens' own identities: resid_mid = resid_pre + attn_out, resid_post = resid_mid + mlp_out.
    private static let transformerLens: [HookAlias] = [
        HookAlias(
            "TransformerLens", "hook_embed", .embed,
            refused: [
                .whereScaledEmbedding("its versions differ on the embedding multiplier: use embed or embed_tokens")
            ]),
        HookAlias("TransformerLens", "hook_resid_pre", .residPre),
        HookAlias("TransformerLens", "attn.hook_q", .queryProjection),
        HookAlias("TransformerLens", "attn.hook_k", .keyProjection),
        HookAlias("TransformerLens", "attn.hook_v", .valueProjection),
        HookAlias("TransformerLens", "attn.hook_rot_q", .rotatedQuery),
        HookAlias("TransformerLens", "attn.hook_rot_k", .rotatedKey),
        HookAlias("TransformerLens", "attn.hook_attn_scores", .scores),
        HookAlias("TransformerLens", "attn.hook_pattern", .pattern),
        HookAlias("TransformerLens", "attn.hook_z", .headOutputs),
        HookAlias("TransformerLens", "hook_attn_out", .attentionAdded),
        HookAlias("TransformerLens", "hook_resid_mid", .residMid),
        HookAlias("TransformerLens", "mlp.gate.hook_out", .routerLogits),
        HookAlias(
            "TransformerLens", "mlp.hook_expert_weights", .expertWeights,
            refused: [
                .always(
                    "there it holds a number for every expert, before the choice or after it by version: use router_probs "
                        + "or expert_weights")
            ]),
        HookAlias("TransformerLens", "mlp.hook_expert_indices", .expertIndices),
        HookAlias("TransformerLens", "hook_mlp_out", .moeAdded),
        HookAlias("TransformerLens", "hook_resid_post", .residPost),
        HookAlias(
            "TransformerLens", "ln_final.hook_normalized", .finalNorm,
            refused: [.always("there it comes before the norm's weight: use final_norm")]),
    ]

    private static let unlike = "latent attention has other modules: use attn.q, attn.k, attn.v or attn.kv_latent"
    private static let gateRemark = "the first of the module's outputs in transformers 5"
    private static let clipped =
        "here it is clipped, and the module's output is not: use attn.q, attn.k or attn.q_proj, attn.k_proj"

    /// Outputs of modules in transformers 5, and of those in transformers 4 that had other names.
    private static let huggingFace: [HookAlias] = [
        HookAlias("Hugging Face", "model.embed_tokens", .embedTokens),
        HookAlias(
            "Hugging Face", "model.layers.self_attn.q_proj", .queryProjection, refused: [.whereLatent(unlike)]),
        HookAlias(
            "Hugging Face", "model.layers.self_attn.k_proj", .keyProjection, refused: [.whereLatent(unlike)]),
        HookAlias(
            "Hugging Face", "model.layers.self_attn.v_proj", .valueProjection, refused: [.whereLatent(unlike)]),
        HookAlias(
            "Hugging Face", "model.layers.self_attn.q_norm", .query,
            refused: [.families(["olmoe", "qwen3_moe"]), .whereClipped(clipped)]),
        HookAlias(
            "Hugging Face", "model.layers.self_attn.k_norm", .key,
            refused: [.families(["olmoe", "qwen3_moe"]), .whereClipped(clipped)]),
        HookAlias("Hugging Face", "model.layers.self_attn.o_proj", .attentionOut),
        HookAlias("Hugging Face", "model.layers.self_attn", .attentionOut, "the first of the module's outputs"),
        HookAlias(
            "Hugging Face", "model.layers.block_sparse_moe.gate", .routerLogits, "transformers 4",
            refused: [.families(["mixtral", "phimoe"])]),
        HookAlias(
            "Hugging Face", "model.layers.mlp.gate", .routerLogits, gateRemark,
            refused: [.families(["mixtral", "olmoe", "qwen2_moe", "qwen3_moe"])]),
        HookAlias(
            "Hugging Face", "model.layers.mlp.router", .routerLogits, gateRemark, refused: [.families(["phimoe"])]),
        HookAlias(
            "Hugging Face", "model.layers.block_sparse_moe.router", .routerLogits, gateRemark,
            refused: [.families(["granitemoe"])]),
        HookAlias(
            "Hugging Face", "model.layers.block_sparse_moe", .moeOut,
            refused: [.families(["mixtral", "phimoe", "granitemoe"])]),
        HookAlias(
            "Hugging Face", "model.layers.mlp", .moeOut,
            refused: [.families(["mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "phimoe"])]),
        HookAlias("Hugging Face", "model.layers.", .residPost),
        HookAlias("Hugging Face", "model.norm", .finalNorm),
        HookAlias("Hugging Face", "lm_head", .outputProjection),
    ]

    private static let reordered =
        "llama.cpp keeps the elements of q and k in another order: name the .gguf file as the model, or use attn.rot_q, attn.rot_k"
    private static let unnormalized = "there it comes before the norm: use attn.rot_q, attn.rot_k"
    private static let softmaxedLater = "there the softmax comes after the choice: use expert_weights"
    private static let unscaled = "there it comes before the weights are multiplied: use expert_weights"
    private static let unclipped = "llama.cpp does not clip q, k and v of this architecture"

    /// Names of tensors in llama.cpp's graph (`llm_graph_context`, `cb`); of several with one name the last.
    private static let llama: [HookAlias] = [
        HookAlias("llama.cpp", "inp_embd", .embed),
        HookAlias(
            "llama.cpp", "Qcur", .rotatedQuery,
            refused: [
                .whereReordered(reordered), .whereClipped(unclipped),
                .inFamily("phimoe", "llama.cpp has divided it by √d there: use attn.rot_q"),
                .whereNormalizedAfterRotation(unnormalized), .whereLatent(unlike),
            ]),
        HookAlias(
            "llama.cpp", "Kcur", .rotatedKey,
            refused: [
                .whereReordered(reordered), .whereClipped(unclipped), .whereNormalizedAfterRotation(unnormalized),
                .whereLatent(unlike),
            ]),
        HookAlias("llama.cpp", "Vcur", .value, refused: [.whereClipped(unclipped), .whereLatent(unlike)]),
        HookAlias("llama.cpp", "kq_soft_max", .pattern),
        HookAlias(
            "llama.cpp", "kqv_out", .headOutputs,
            refused: [.whereGatedHeads("there it comes before the gate: use attn.z")]),
        HookAlias("llama.cpp", "ffn_inp", .residMid),
        HookAlias("llama.cpp", "ffn_moe_logits", .routerLogits),
        HookAlias(
            "llama.cpp", "ffn_moe_probs", .routerProbs,
            refused: [
                .whereSigmoid("there it holds sigmoid(z), which need not sum to 1: use router_scores"),
                .inFamily("gpt_oss", "there it holds the logits: use router_logits"),
            ]),
        HookAlias("llama.cpp", "ffn_moe_topk", .expertIndices),
        HookAlias(
            "llama.cpp", "ffn_moe_weights", .expertWeights,
            refused: [
                .whereScaledWeights(unscaled),
                .whereRenormalized("there it comes before the division by the sum: use ffn_moe_weights_norm"),
                .inFamily("phimoe", "llama.cpp weighs the experts of Phi-3.5-MoE by a softmax"),
                .inFamily("gpt_oss", softmaxedLater),
            ]),
        HookAlias(
            "llama.cpp", "ffn_moe_weights_norm", .expertWeights,
            refused: [
                .whereScaledWeights(unscaled),
                .whereNotRenormalized("this model does not divide by the sum: use ffn_moe_weights"),
                .inFamily("gpt_oss", softmaxedLater),
            ]),
        HookAlias("llama.cpp", "ffn_moe_down", .expertOutputs),
        HookAlias(
            "llama.cpp", "ffn_moe_out", .moeOut,
            refused: [.whereSharedExpert("there it comes before the shared expert is added: use moe_out")]),
        HookAlias("llama.cpp", "l_out", .residPost),
        HookAlias("llama.cpp", "result_norm", .finalNorm),
        HookAlias("llama.cpp", "result_output", .logits),
    ]

    static func named(_ name: String) -> HookAlias? { all.first { $0.name == name } }

    /// The three known names that differ least from `name`, by edit distance; a name contained in the other comes first.
    static func nearest(to name: String) -> [String] {
        let bare = name.split(separator: ".").drop { $0 == "blocks" || Int($0) != nil }.joined(separator: ".")
        let names = HookSite.allCases.map(\.rawValue) + all.map(\.name)
        let ranked = names.map { candidate in
            (candidate, candidate.contains(bare) || bare.contains(candidate) ? 0 : bare.editDistance(to: candidate))
        }
        return ranked.enumerated().sorted { ($0.element.1, $0.offset) < ($1.element.1, $1.offset) }.prefix(3).map(
            \.element.0)
    }
}
