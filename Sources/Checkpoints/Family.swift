import RouterPolicies

/// One family of models as data: what its `config.json` calls things, and where its tensors are.
///
/// Adding a family is adding a value to `Family.all`; the forward pass reads `ModelConfig` and never the family's name.
struct Family: Sendable {
    /// Hugging Face's `model_type`.
    let architecture: String
    /// `general.architecture` of a GGUF file.
    let ggufArchitecture: String
    /// Fields with the number of experts, E, in the order in which they count.
    var expertCountFields = ["num_local_experts"]
    /// Field with the width of one expert, F.
    var expertSizeField = "intermediate_size"
    /// What the reference takes where a field is absent.
    let defaults: Defaults
    /// Names of a layer's router, after "model.layers.L."; the first that is present counts.
    let routerNames: [String]
    /// Ways the experts of a layer are stored; the first that is present counts.
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
    /// Field that says whether attention has biases, what it is where it is absent, and whether o has one too; nil: there are none.
    var attentionBias: AttentionBias? = AttentionBias(field: "attention_bias", isDefault: false, includesOutput: true)
    /// Field with the width of the shared expert, `mlp.shared_expert`.
    var sharedExpertSizeField: String?
    /// Field that q, k and v are clipped to.
    var clipField: String?
    var windows = Windows.none
    /// Fields that say which layers are dense.
    var denseLayers: DenseLayers?
    /// Granite's four scalars.
    var hasMultipliers = false
    /// Field that says whether the output projection has a bias.
    var outputBiasField: String?
    /// How the fields of rotary scaling are read.
    var rotary = RotaryFields()
    /// Names of tensors that differ from the usual ones, after "model.layers.L.".
    var names: [TensorRole: String] = [:]

    /// Where a config says what the router does; nil: the family's policy stands.
    struct RouterFields: Sendable {
        var normalizes: String?
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
        /// A step n: layers n − 1, 2n − 1, … have experts (`decoder_sparse_step`).
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

    /// What transformers' configuration class has where `config.json` lacks a field.
    struct Defaults: Sendable {
        var contextLength: Int
        var expertsPerToken: Int
        /// nil: as many as there are query heads.
        var keyValueHeads: Int?
        var ropeTheta: Float = 10_000
        var normEpsilon: Float = 1e-5
    }

    /// Which fields set a sliding window.
    enum Windows: Sendable {
        /// None: the reference attends to the whole text whatever the config says.
        case none
        /// `sliding_window`, for every layer.
        case everyLayer
        /// `sliding_window` for every layer where `use_sliding_window` is true.
        case everyLayerIfUsed
        /// As before, for the layers that `layer_types` names, or for every second one below `max_window_layers`.
        case perLayerIfUsed
    }

    struct RotaryFields: Sendable {
        /// Whether `short_mscale` and `long_mscale` take the place of every scaling's own attention factor (Phi-3.5-MoE).
        var hasMagnitudes = false
        /// Whether `original_max_position_embeddings` beside the section goes before the one in it.
        var outerOriginalContextFirst = true
    }

    /// Names of a layer's experts, after "model.layers.L."; `{e}` stands for the expert's number.
    enum ExpertLayout: Sendable {
        /// One tensor per expert: [F, D], [F, D] and [D, F].
        case separate(gate: String, up: String, down: String)
        /// All experts in two tensors, gate above up: [E, 2F, D] and [E, D, F].
        case fused(gateUp: String, down: String)

        /// A tensor whose presence shows that a checkpoint uses this layout.
        var landmark: String {
            switch self {
            case .separate(let gate, _, _): gate.replacing("{e}", with: "0")
            case .fused(let gateUp, _): gateUp
            }
        }

        /// Mixtral's names, w1, w2 and w3 (gate, down, up).
        static func numbered(_ block: String) -> ExpertLayout {
            .separate(
                gate: "\(block).experts.{e}.w1.weight", up: "\(block).experts.{e}.w3.weight",
                down: "\(block).experts.{e}.w2.weight")
        }
        /// OLMoE's and Qwen's names.
        static let projections = ExpertLayout.separate(
            gate: "mlp.experts.{e}.gate_proj.weight", up: "mlp.experts.{e}.up_proj.weight",
            down: "mlp.experts.{e}.down_proj.weight")
        /// As transformers 5 holds them in memory.
        static func inMemory(_ block: String) -> ExpertLayout {
            .fused(gateUp: "\(block).experts.gate_up_proj", down: "\(block).experts.down_proj")
        }
        /// Granite's names.
        static let linear = ExpertLayout.fused(
            gateUp: "block_sparse_moe.input_linear.weight", down: "block_sparse_moe.output_linear.weight")
    }
}
