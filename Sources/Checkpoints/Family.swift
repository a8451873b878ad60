import RouterPolicies

/// One family of models as data: what its `config.json` calls things, and where its tensors are.
///
/// Adding a family is adding a value to `Family.all`; the forward pass reads `ModelConfig` and never the family's name.
struct Family: Sendable {
    /// Hugging Face's `model_type`.
    let architecture: String
    /// `general.architecture` of a GGUF file.
    let ggufArchitecture: String
    /// Field with the number of experts, E; the first that is there counts.
    var expertCountFields = ["num_local_experts"]
    /// Field with the width of one expert, F.
    var expertSizeField = "intermediate_size"
    /// Rotary base where the config does not say.
    var defaultRopeTheta: Float = 10_000
    var defaultNormEpsilon: Float = 1e-5
    /// Ways the router and experts of a layer are stored; the first that is present counts.
    let expertLayouts: [ExpertLayout]

    /// How llama.cpp pairs the rotary embedding for this architecture; its converter has permuted q and k where it is `pairs`.
    var ggufRotaryLayout = RotaryConfig.Layout.halves
    var normKind = NormConfig.Kind.rms
    var queryKeyNorm: AttentionConfig.QueryKeyNorm?
    /// How router logits become a choice of experts; a config's own fields fill in K and whatever `RouterFields` names.
    var router = RouterPolicy.softmax(expertsPerToken: 1, normalizes: false)
    /// Fields of `config.json` that set parts of the policy.
    var routerFields = RouterFields()
    /// The same for GGUF files, which seldom say.
    var ggufRenormalizesExpertWeights = false
    /// Field that says whether attention has biases, what it is where it is absent, and whether o has one too.
    var attentionBias = AttentionBias(field: "attention_bias", isDefault: false, includesOutput: true)
    /// Field with the width of the shared expert, `mlp.shared_expert`.
    var sharedExpertSizeField: String?
    /// Whether layers may differ in their sliding window (Qwen2-MoE): then none is supported.
    var hasWindowPerLayer = false
    /// Fields that say which layers are dense.
    var denseLayers: DenseLayers?
    /// Granite's four scalars.
    var hasMultipliers = false
    /// Field that says whether the output projection has a bias.
    var outputBiasField: String?
    /// Names of tensors that differ from the usual ones, after "model.layers.L.".
    var names: [TensorRole: String] = [:]

    /// Where a config says what the router does; nil: the family's policy stands.
    struct RouterFields: Sendable {
        var normalizes: String? = "norm_topk_prob"
        var scale: String?
        var groupCount: String?
        var keptGroups: String?
        /// SparseMixer's ε.
        var jitter: String?
    }

    /// How a config says that a layer has one network instead of experts.
    struct DenseLayers: Sendable {
        /// Layers below this number are dense (`first_k_dense_replace`).
        var firstField: String?
        /// Of every so many layers the last has experts (`decoder_sparse_step`).
        var stepField: String?
        /// A list of dense layers (`mlp_only_layers`).
        var listField: String?
        /// Width of the network.
        var sizeField = "intermediate_size"
    }

    struct AttentionBias: Sendable {
        let field: String
        let isDefault: Bool
        let includesOutput: Bool
    }

    /// Names of a layer's router and experts, after "model.layers.L."; `{e}` stands for the expert's number.
    enum ExpertLayout: Sendable {
        /// One tensor per expert: [F, D], [F, D] and [D, F].
        case separate(router: String, gate: String, up: String, down: String)
        /// All experts in two tensors, gate above up: [E, 2F, D] and [E, D, F].
        case fused(router: String, gateUp: String, down: String)

        var router: String {
            switch self {
            case .separate(let router, _, _, _), .fused(let router, _, _): router
            }
        }

        /// A tensor whose presence shows that a checkpoint uses this layout.
        var landmark: String {
            switch self {
            case .separate(_, let gate, _, _): gate.replacing("{e}", with: "0")
            case .fused(_, let gateUp, _): gateUp
            }
        }

        /// Mixtral's names, w1, w2 and w3 (gate, down, up).
        static let numbered = ExpertLayout.separate(
            router: "block_sparse_moe.gate.weight", gate: "block_sparse_moe.experts.{e}.w1.weight",
            up: "block_sparse_moe.experts.{e}.w3.weight", down: "block_sparse_moe.experts.{e}.w2.weight")
        /// OLMoE's and Qwen's names.
        static let projections = ExpertLayout.separate(
            router: "mlp.gate.weight", gate: "mlp.experts.{e}.gate_proj.weight",
            up: "mlp.experts.{e}.up_proj.weight", down: "mlp.experts.{e}.down_proj.weight")
        /// As transformers 5 holds them in memory.
        static let inMemory = ExpertLayout.fused(
            router: "mlp.gate.weight", gateUp: "mlp.experts.gate_up_proj", down: "mlp.experts.down_proj")
        /// Granite's names.
        static let linear = ExpertLayout.fused(
            router: "block_sparse_moe.router.layer.weight", gateUp: "block_sparse_moe.input_linear.weight",
            down: "block_sparse_moe.output_linear.weight")
    }
}

extension Family {
    static let all: [Family] = [.mixtral, .olmoe, .qwen2, .qwen3, .granite, .phi]

    /// Mixtral-8x7B and 8x22B (arXiv 2401.04088).
    static let mixtral = Family(
        architecture: "mixtral", ggufArchitecture: "llama", defaultRopeTheta: 1e6,
        expertLayouts: [.numbered, .inMemory], ggufRotaryLayout: .pairs,
        router: .softmax(expertsPerToken: 2, normalizes: true), ggufRenormalizesExpertWeights: true)

    /// OLMoE (arXiv 2409.02060).
    static let olmoe = Family(
        architecture: "olmoe", ggufArchitecture: "olmoe", expertCountFields: ["num_experts", "num_local_experts"],
        expertLayouts: [.projections, .inMemory], queryKeyNorm: .wholeProjection)

    /// Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671).
    static let qwen2 = Family(
        architecture: "qwen2_moe", ggufArchitecture: "qwen2moe",
        expertCountFields: ["num_experts", "num_local_experts"], expertSizeField: "moe_intermediate_size",
        defaultNormEpsilon: 1e-6, expertLayouts: [.projections, .inMemory],
        attentionBias: AttentionBias(field: "qkv_bias", isDefault: true, includesOutput: false),
        sharedExpertSizeField: "shared_expert_intermediate_size", hasWindowPerLayer: true,
        denseLayers: DenseLayers(stepField: "decoder_sparse_step", listField: "mlp_only_layers"))

    /// Qwen3-MoE (arXiv 2505.09388).
    static let qwen3 = Family(
        architecture: "qwen3_moe", ggufArchitecture: "qwen3moe",
        expertCountFields: ["num_experts", "num_local_experts"], expertSizeField: "moe_intermediate_size",
        defaultNormEpsilon: 1e-6, expertLayouts: [.projections, .inMemory], queryKeyNorm: .perHead,
        ggufRenormalizesExpertWeights: true,
        denseLayers: DenseLayers(stepField: "decoder_sparse_step", listField: "mlp_only_layers"))

    /// Granite 3 MoE. A softmax over the chosen logits is the renormalized softmax over all.
    static let granite = Family(
        architecture: "granitemoe", ggufArchitecture: "granitemoe", defaultNormEpsilon: 1e-6,
        expertLayouts: [.linear, .inMemory], ggufRotaryLayout: .pairs,
        router: .softmax(expertsPerToken: 1, normalizes: true), ggufRenormalizesExpertWeights: true,
        hasMultipliers: true)

    /// Phi-3.5-MoE (arXiv 2404.14219, 2409.12136).
    static let phi = Family(
        architecture: "phimoe", ggufArchitecture: "phimoe", defaultRopeTheta: 1e6,
        expertLayouts: [.numbered, .inMemory], normKind: .layer,
        router: RouterPolicy(
            score: .sparseMixer, jitter: 0.01, select: .init(expertsPerToken: 2), weigh: .init(normalizes: false)),
        routerFields: RouterFields(normalizes: nil, jitter: "router_jitter_noise"), outputBiasField: "lm_head_bias")
}
