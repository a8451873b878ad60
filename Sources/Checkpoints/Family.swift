/// One family of models as data: what its `config.json` calls things, and where its tensors are.
///
/// Adding a family is adding a value to `Family.all`; the forward pass reads `ModelConfig` and never the family's name.
struct Family: Sendable {
    /// Hugging Face's `model_type`.
    let architecture: String
    /// `general.architecture` of a GGUF file.
    let ggufArchitecture: String
    /// Field with the number of experts, E.
    let expertCountField: String
    /// Field with the width of one expert, F.
    let expertSizeField: String
    /// Rotary base where the config does not say.
    let defaultRopeTheta: Float
    let defaultNormEpsilon: Float
    /// Ways the router and experts of a layer are stored; the first that is present counts.
    let expertLayouts: [ExpertLayout]

    /// How llama.cpp pairs the rotary embedding for this architecture; its converter has permuted q and k where it is `pairs`.
    var ggufRotaryLayout = ModelConfig.RotaryLayout.halves
    var normKind = ModelConfig.NormKind.rms
    var queryKeyNorm: ModelConfig.QueryKeyNorm?
    var routerScoring = ModelConfig.RouterScoring.softmaxThenTopK
    /// Whether the K weights are divided by their sum; `norm_topk_prob`, where the config has it, goes before.
    var renormalizesExpertWeights = true
    var attentionBias = AttentionBias.none
    /// Whether there is a shared expert, `mlp.shared_expert`.
    var hasSharedExpert = false
    var tiesOutputByDefault = false

    enum AttentionBias: Sendable {
        case none
        /// Biases of q, k and v, always (Qwen2).
        case queryKeyValue
        /// Biases of q, k, v and o where `attention_bias` is true.
        case asConfigured
    }

    /// Names of a layer's router and experts, after "model.layers.L."; `{e}` stands for the expert's number.
    enum ExpertLayout: Sendable {
        /// One tensor per expert: [F, D], [F, D] and [D, F].
        case separate(router: String, gate: String, up: String, down: String)
        /// All experts in two tensors, gate above up: [E, 2F, D] and [E, D, F].
        case fused(router: String, gateUp: String, down: String)

        /// A tensor whose presence shows that a checkpoint uses this layout.
        var landmark: String {
            switch self {
            case .separate(_, let gate, _, _): gate.replacing("{e}", with: "0")
            case .fused(_, let gateUp, _): gateUp
            }
        }
    }
}

extension Family {
    static let mixtral = Family(
        architecture: "mixtral", ggufArchitecture: "llama", expertCountField: "num_local_experts",
        expertSizeField: "intermediate_size", defaultRopeTheta: 1e6, defaultNormEpsilon: 1e-5,
        expertLayouts: [
            .separate(
                router: "block_sparse_moe.gate.weight", gate: "block_sparse_moe.experts.{e}.w1.weight",
                up: "block_sparse_moe.experts.{e}.w3.weight", down: "block_sparse_moe.experts.{e}.w2.weight"),
            .fused(
                router: "mlp.gate.weight", gateUp: "mlp.experts.gate_up_proj", down: "mlp.experts.down_proj"),
        ],
        ggufRotaryLayout: .pairs)

    static let all: [Family] = [.mixtral]
}
