/// Names that other tools give to our hook points.
public struct HookAlias: Sendable {
    /// The tool whose name it is.
    public let tool: String
    /// The name without its layer.
    public let name: String
    public let site: HookSite
    /// Where the other tool's hook of this name carries something else.
    public let remark: String?

    private init(_ tool: String, _ name: String, _ site: HookSite, _ remark: String? = nil) {
        self.tool = tool
        self.name = name
        self.site = site
        self.remark = remark
    }

    /// Every alias, by tool. TransformerLens names follow `blocks.N.`, Hugging Face names `model.layers.N.`, llama.cpp
    /// names are followed by `-N`.
    public static let all: [HookAlias] = [
        HookAlias("TransformerLens", "hook_embed", .embed),
        HookAlias("TransformerLens", "hook_resid_pre", .residPre),
        HookAlias("TransformerLens", "attn.hook_q", .query),
        HookAlias("TransformerLens", "attn.hook_k", .key),
        HookAlias("TransformerLens", "attn.hook_v", .value),
        HookAlias("TransformerLens", "attn.hook_rot_q", .rotatedQuery),
        HookAlias("TransformerLens", "attn.hook_rot_k", .rotatedKey),
        HookAlias("TransformerLens", "attn.hook_attn_scores", .scores),
        HookAlias("TransformerLens", "attn.hook_pattern", .pattern),
        HookAlias("TransformerLens", "attn.hook_z", .headOutputs),
        HookAlias("TransformerLens", "hook_attn_out", .attentionOut),
        HookAlias("TransformerLens", "hook_resid_mid", .residMid),
        HookAlias("TransformerLens", "mlp.gate.hook_out", .routerLogits),
        HookAlias(
            "TransformerLens", "mlp.hook_expert_weights", .expertWeights,
            "there it has carried the softmax over all experts before the choice; here the weights applied"),
        HookAlias("TransformerLens", "mlp.hook_expert_indices", .expertIndices),
        HookAlias("TransformerLens", "hook_mlp_out", .moeOut),
        HookAlias("TransformerLens", "hook_resid_post", .residPost),
        HookAlias("TransformerLens", "ln_final.hook_normalized", .finalNorm, "there before the norm's weight"),
        HookAlias("Hugging Face", "model.embed_tokens", .embed),
        HookAlias("Hugging Face", "model.layers.self_attn.q_proj", .query),
        HookAlias("Hugging Face", "model.layers.self_attn.k_proj", .key),
        HookAlias("Hugging Face", "model.layers.self_attn.v_proj", .value),
        HookAlias("Hugging Face", "model.layers.self_attn", .attentionOut),
        HookAlias(
            "Hugging Face", "model.layers.block_sparse_moe.gate", .routerLogits,
            "in transformers 5 the module returns logits, weights and indices together"),
        HookAlias(
            "Hugging Face", "model.layers.mlp.gate", .routerLogits,
            "in transformers 5 the module returns logits, weights and indices together"),
        HookAlias("Hugging Face", "model.layers.block_sparse_moe", .moeOut),
        HookAlias("Hugging Face", "model.layers.mlp", .moeOut),
        HookAlias("Hugging Face", "model.layers.", .residPost),
        HookAlias("Hugging Face", "model.norm", .finalNorm),
        HookAlias("Hugging Face", "lm_head", .logits),
        HookAlias("llama.cpp", "inp_embd", .embed),
        HookAlias("llama.cpp", "Qcur", .rotatedQuery),
        HookAlias("llama.cpp", "Kcur", .rotatedKey),
        HookAlias("llama.cpp", "Vcur", .value),
        HookAlias("llama.cpp", "kq_soft_max", .pattern),
        HookAlias("llama.cpp", "kqv_out", .headOutputs),
        HookAlias("llama.cpp", "ffn_inp", .residMid),
        HookAlias("llama.cpp", "ffn_moe_logits", .routerLogits),
        HookAlias("llama.cpp", "ffn_moe_probs", .routerProbs),
        HookAlias("llama.cpp", "ffn_moe_topk", .expertIndices),
        HookAlias(
            "llama.cpp", "ffn_moe_weights", .expertWeights,
            "there before renormalization, where a model has it; here as applied"),
        HookAlias("llama.cpp", "ffn_moe_weights_norm", .expertWeights),
        HookAlias("llama.cpp", "ffn_moe_down", .expertOutputs),
        HookAlias("llama.cpp", "ffn_moe_out", .moeOut),
        HookAlias("llama.cpp", "l_out", .residPost),
        HookAlias("llama.cpp", "result_norm", .finalNorm),
        HookAlias("llama.cpp", "result_output", .logits),
    ]

    static func site(of name: String) -> HookSite? { all.first { $0.name == name }?.site }

    /// The three known names that differ least from `name`, by edit distance; a name contained in the other comes first.
    static func nearest(to name: String) -> [String] {
        let bare = name.split(separator: ".").drop { $0 == "blocks" || Int($0) != nil }.joined(separator: ".")
        let names = HookSite.allCases.map(\.rawValue) + all.map(\.name)
        let ranked = names.map { candidate in
            (candidate, candidate.contains(bare) || bare.contains(candidate) ? 0 : editDistance(bare, candidate))
        }
        return ranked.enumerated().sorted { ($0.element.1, $0.offset) < ($1.element.1, $1.offset) }.prefix(3).map(
            \.element.0)
    }

    private static func editDistance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a), Array(b))
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let substitution = diagonal + (a[i] == b[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
