/// A place in the forward pass where a value can be seen, and at most places changed.
///
/// Shapes: T token rows (documents packed) · D hidden · H query heads · G key/value heads · d head size · E experts ·
/// K experts per token · V vocabulary · t tokens of one document.
public enum HookSite: String, Sendable, CaseIterable, Codable {
    case embedTokens = "embed_tokens"
    case embed
    case residPre = "resid_pre"
    case queryProjection = "attn.q_proj"
    case keyProjection = "attn.k_proj"
    case valueProjection = "attn.v_proj"
    case query = "attn.q"
    case key = "attn.k"
    case value = "attn.v"
    case rotatedQuery = "attn.rot_q"
    case rotatedKey = "attn.rot_k"
    case scores = "attn.scores"
    case pattern = "attn.pattern"
    case attentionSummary = "attn.summary"
    case sinks = "attn.sink"
    case keyValueLatent = "attn.kv_latent"
    case headOutputs = "attn.z"
    case attentionOut = "attn_out"
    case attentionAdded = "attn_added"
    case residMid = "resid_mid"
    case routerLogits = "router_logits"
    case routerScores = "router_scores"
    case routerProbs = "router_probs"
    case expertIndices = "expert_indices"
    case expertWeights = "expert_weights"
    case expertOutputs = "expert_outputs"
    case moeOut = "moe_out"
    case moeAdded = "moe_added"
    case residPost = "resid_post"
    case finalNorm = "final_norm"
    case outputProjection = "lm_head"
    case logits

    /// False for the places outside the layers: `embed_tokens`, `embed`, `final_norm`, `lm_head`, `logits`.
    public var isPerLayer: Bool {
        switch self {
        case .embedTokens, .embed, .finalNorm, .outputProjection, .logits: false
        default: true
        }
    }

    /// Whether only layers with a router have it; dense layers do not.
    public var needsRouter: Bool {
        switch self {
        case .routerLogits, .routerScores, .routerProbs, .expertIndices, .expertWeights, .expertOutputs: true
        default: false
        }
    }

    /// Whether an edit here is carried into everything computed after it.
    public var isEditable: Bool { self != .attentionSummary && self != .sinks }

    /// Element type: I32 for chosen experts, F32 elsewhere.
    public var elementName: String { self == .expertIndices ? "i32" : "f32" }

    /// The shape in the letters of this type's legend.
    public var shape: String {
        switch self {
        case .embedTokens, .embed, .residPre, .attentionOut, .attentionAdded, .residMid, .moeOut, .moeAdded, .residPost,
            .finalNorm:
            "T D"
        case .queryProjection, .query, .rotatedQuery, .headOutputs: "T H d"
        case .keyProjection, .valueProjection, .key, .value, .rotatedKey: "T G d"
        case .scores, .pattern: "H t t per document"
        case .attentionSummary: "5 H T"
        case .sinks: "H T"
        case .keyValueLatent: "T c"
        case .routerLogits, .routerScores, .routerProbs: "T E"
        case .expertIndices, .expertWeights: "T K"
        case .expertOutputs: "T K D"
        case .outputProjection, .logits: "T V"
        }
    }

    /// Whether the first dimension is that of the batch's rows.
    var beginsWithRows: Bool {
        switch self {
        case .attentionSummary, .sinks, .scores, .pattern: false
        default: true
        }
    }

    /// The numbers that split a matrix into a site's dimensions: H query heads, G key/value heads, K choices per row.
    package struct Sizes: Sendable {
        package let heads: Int
        package let groups: Int
        package let choices: Int

        package init(heads: Int, groups: Int, choices: Int) {
            self.heads = heads
            self.groups = groups
            self.choices = choices
        }
    }

    /// The shape of a value that the pass computes as a matrix [rows, columns]; for the sites with one value per batch.
    package func shape(rows: Int, columns: Int, _ sizes: Sizes) -> [Int] {
        switch self {
        case .queryProjection, .query, .rotatedQuery, .headOutputs: [rows, sizes.heads, columns / sizes.heads]
        case .keyProjection, .valueProjection, .key, .value, .rotatedKey: [rows, sizes.groups, columns / sizes.groups]
        case .attentionSummary: [rows / sizes.heads, sizes.heads, columns]
        case .expertOutputs: [rows / sizes.choices, sizes.choices, columns]
        default: [rows, columns]
        }
    }

    /// One line for `moescope hooks`.
    public var summary: String {
        switch self {
        case .embedTokens: "rows of the embedding, before Granite's multiplier"
        case .embed: "token embeddings"
        case .residPre: "residual stream entering the layer"
        case .queryProjection: "query projection with its bias, before norm and clipping"
        case .keyProjection: "key projection with its bias, before norm and clipping"
        case .valueProjection: "value projection with its bias, before clipping"
        case .query: "queries before the rotation"
        case .key: "keys before the rotation"
        case .value: "values"
        case .rotatedQuery: "queries after the rotary embedding, and after Hunyuan's norm"
        case .rotatedKey: "keys after the rotary embedding, and after Hunyuan's norm"
        case .scores: "attention scores, scaled and masked, before softmax"
        case .pattern: "attention pattern, after softmax; rows sum to 1, or to 1 less the share of a learned sink"
        case .attentionSummary:
            "per head and row: entropy (nats), mass on position 0, on the previous position, mean distance, largest weight"
        case .sinks: "share of each row of the pattern that a learned sink takes; only for models that have sinks"
        case .keyValueLatent: "the latent that keys and values come from, after its norm; only for latent attention"
        case .headOutputs: "head outputs before the output projection, after AFMoE's gate"
        case .attentionOut: "attention output, before a norm that comes after it"
        case .attentionAdded:
            "what attention adds to the residual stream: its output after that norm, times Granite's multiplier"
        case .residMid: "residual stream between attention and experts"
        case .routerLogits: "router output, before softmax or sigmoid"
        case .routerScores:
            "what experts are chosen by: softmax(z) or sigmoid(z), before any bias that counts for choosing only"
        case .routerProbs: "the model's own distribution over experts: softmax(z), or for sigmoid scores s / Σ s"
        case .expertIndices: "chosen experts, by falling weight; ties go to the lower index"
        case .expertWeights: "mixing weights of the chosen experts, as the model applies them"
        case .expertOutputs: "each chosen expert's output, before mixing"
        case .moeOut: "mixed output of the experts, or of a dense layer's one network"
        case .moeAdded:
            "what the experts add to the residual stream: their output after a norm that comes after it, times Granite's multiplier"
        case .residPost: "residual stream leaving the layer"
        case .finalNorm: "after the last norm"
        case .outputProjection: "output projection with its bias, before Granite's division; on demand only"
        case .logits: "next-token logits, on demand only"
        }
    }

    /// The site's bit in a layer's mask.
    package var bit: UInt32 { 1 << UInt32(HookSite.allCases.firstIndex(of: self) ?? 0) }
}
