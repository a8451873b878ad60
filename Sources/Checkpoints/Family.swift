import RouterPolicies

/// One family of models as data: what its `config.json` calls things, and where its tensors are.
///
/// Adding a family is adding a value to `Family.all`; the forward pass reads `ModelConfig` and never the family's name.
struct Family: Sendable {
    /// Hugging Face's `model_type`.
    let architecture: String
    /// `general.architecture` of a GGUF file; nil: llama.cpp has none for it.
    let ggufArchitecture: String?
    /// Fields with the number of experts, E, in the order in which they count.
    var expertCountFields = ["num_local_experts"]
    /// Fields with the number of experts per token, K, in the order in which they count.
    var expertsPerTokenFields = ["num_experts_per_tok"]
    /// Field with the width of one expert, F.
    var expertSizeField = "intermediate_size"
    /// What the reference takes where a field is absent.
    let defaults: Defaults
    /// Names of a layer's router, after "model.layers.L."; the first that is present counts.
    let routerNames: [String]
    /// Ways the experts of a layer are stored; the first that is present counts.
    let expertLayouts: [ExpertLayout]

    /// How Hugging Face's checkpoints pair the rotary embedding.
    var rotaryLayout = RotaryConfig.Layout.halves
    /// How llama.cpp pairs the rotary embedding for this architecture; its converter has permuted q and k where it is `pairs`.
    var ggufRotaryLayout = RotaryConfig.Layout.halves
    var normKind = NormConfig.Kind.rms
    var normPlacement = NormConfig.Placement.before
    var queryKeyNorm: AttentionConfig.QueryKeyNorm?
    /// Field that says whether there is such a norm; nil: there is.
    var queryKeyNormField: String?
    var normalizesAfterRotation = false
    var gatesHeads = false
    var hasSinks = false
    /// What latent attention has where a config does not say; nil: the family has none.
    var latent: LatentDefaults?
    /// gpt-oss's experts: what `swiglu_alpha` and `swiglu_limit` are where they are absent; nil: silu(gate) ⊙ up.
    var clamp: ExpertsConfig.Clamp?
    /// Whether the folder's experts may be MXFP4 (`quantization_config`).
    var readsMXFP4: Bool { expertLayouts.contains { if case .interleaved = $0 { true } else { false } } }
    /// How router logits become a choice of experts; a config's own fields fill in K and whatever `RouterFields` names.
    var router = RouterPolicy.softmax(expertsPerToken: 1, normalizes: false)
    /// Fields of `config.json` that set parts of the policy.
    var routerFields = RouterFields()
    /// The same for GGUF files, which seldom say.
    var ggufRenormalizesExpertWeights = false
    /// Field that says whether attention has biases, what it is where it is absent, and whether o has one too; nil: there are none.
    var attentionBias: AttentionBias? = AttentionBias(field: "attention_bias", isDefault: false, includesOutput: true)
    /// The expert that every token goes through.
    var sharedExpert: SharedExpert?
    /// Field that q, k and v are clipped to.
    var clipField: String?
    var windows = Windows.none
    /// Whether files have layers after the last one that predict several tokens, which are not run.
    var leavesOutLastLayers = false
    /// Where GGUF files have one window and a fixed pattern: of so many layers the last one attends to the whole text.
    var ggufWindowPeriod: Int?
    /// Fields that say which layers are dense.
    var denseLayers: DenseLayers?
    /// Granite's four scalars.
    var hasMultipliers = false
    /// Field that says whether token embeddings are multiplied by √D.
    var embeddingScaleField: String?
    /// Fields that must be false where they are there, because nothing here computes what they ask for.
    var refusedFlags: [String] = []
    /// Fields that must be true, because nothing here computes the model without what they stand for.
    var requiredFlags: [String] = []
    /// Numbers that must be these where they are there, because nothing here computes what others ask for.
    var requiredNumbers: [String: Int] = [:]
    /// Field that says whether the output projection has a bias.
    var outputBiasField: String?
    /// How the fields of rotary scaling are read.
    var rotary = RotaryFields()
    /// One tensor with q above k above v, [(H + 2G) · d, D], in place of three, after "model.layers.L."; GGUF files have one then
    /// too, `attn_qkv.weight`.
    var fusedAttention: String?
    /// Names of tensors that differ from the usual ones, after "model.layers.L.".
    var names: [TensorRole: String] = [:]
    /// Whether GGUF files give the width of an expert a key of its own although `config.json` does not.
    var ggufNamesExpertSize = false
    /// Names in GGUF files that differ from the usual ones, without their layer.
    var ggufNames: [TensorRole: String] = [:]

    /// How a config gives the width of the expert that every token goes through.
    struct SharedExpert: Sendable {
        /// Field with its width; 0 or absent counts as none where `isOptional`.
        var sizeField: String?
        /// Field with the number of shared experts: they are one of that many times the width of a routed one.
        var countField: String?
        /// What the reference takes where the field is absent; nil: the field must be there.
        var byDefault: Int?
        /// Whether 0 stands for no shared expert.
        var isOptional = false
        /// Whether its output is multiplied by σ(x · w).
        var isGated = false
        /// One tensor with gate above up, [2S, D], in place of two.
        var fusedName: String?
    }

    /// Where a config says what the router does; nil: the family's policy stands.
    struct RouterFields: Sendable {
        var normalizes: String?
        var scale: String?
        /// "greedy", or "group_limited_greedy" for groups.
        var method: String?
        /// Lowest sum that weights are divided by.
        var leastSum: String?
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
        /// Layers after this number are dense; −1: none (`moe_layer_end_index`).
        var lastField: String?
        /// A list of dense layers (`mlp_only_layers`).
        var listField: String?
        /// A list that says "dense" or "sparse" for every layer; it goes before what the other fields say.
        var typesField: String?
        /// What the reference takes where `firstField` is absent.
        var firstByDefault = 0
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
        /// nil: the field must be there.
        var expertsPerToken: Int?
        /// nil: as many as there are query heads.
        var keyValueHeads: Int?
        var ropeTheta: Float = 10_000
        var normEpsilon: Float = 1e-5
        /// Whether output and embedding are one matrix.
        var tiesOutput = false
        /// Whether mixing weights are divided by their sum, where a field says so.
        var normalizes = false
        /// nil: D / H.
        var headSize: Int?
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
        /// `sliding_window` for the layers that `layer_types` names, or else for those that the pattern does.
        case perLayer(Pattern, byDefault: Int)

        /// Which layers have a window where `layer_types` is absent.
        enum Pattern: Sendable {
            /// Those from the number in a field on.
            case from(field: String, byDefault: Int)
            /// All but every n-th.
            case period(field: String?, byDefault: Int)
        }
    }

    /// Sizes of latent attention where a config lacks them; `queryRank` is none where the field is null.
    struct LatentDefaults: Sendable {
        var queryRank = 1536
        var rank = 512
        var rotatedSize = 64
        var unrotatedSize = 128
        var valueSize = 128
        /// Field that is false where the rotary embedding pairs the halves of a head.
        var pairsField: String?
    }

    struct RotaryFields: Sendable {
        /// Whether `short_mscale` and `long_mscale` take the place of every scaling's own attention factor (Phi-3.5-MoE).
        var hasMagnitudes = false
        /// Whether `original_max_position_embeddings` beside the section goes before the one in it.
        var outerOriginalContextFirst = true
        /// The part of a head that is turned where a config does not say; nil: whole heads, whatever a config says.
        var partByDefault: Double?
        /// Field with the number of elements that are turned.
        var sizeField: String?
        /// Whether "dynamic" means a base stretched by a fixed `alpha` (Hunyuan).
        var hasAlpha = false
        /// Whether layers that attend to the whole text are not rotated.
        var skipsFullLayers = false
        /// Whether `partial_rotary_factor` would turn a part of what latent attention turns, which is not computed here.
        var refusesPart = false
        /// Whether `partial_rotary_factor` says again which part of latent attention's heads is turned (Mistral 4).
        var hasLatentPart = false
        /// Whether queries grow with their position (`llama_4_scaling_beta`).
        var growsQueries = false
        /// Whether the reference has a scaling of its own where a config has none, so that there must be one.
        var needsSection = false
    }

    /// Names of a layer's experts, after "model.layers.L."; `{e}` stands for the expert's number.
    enum ExpertLayout: Sendable {
        /// One tensor per expert: [F, D], [F, D] and [D, F].
        case separate(gate: String, up: String, down: String)
        /// All experts in two tensors, gate above up: [E, 2F, D] and [E, D, F].
        case fused(gateUp: String, down: String)
        /// [E, D, 2F] with gate and up in turn, and [E, F, D], or both as blocks of MXFP4 whose rows are outputs; with biases.
        case interleaved(String)

        /// A tensor whose presence shows that a checkpoint uses this layout.
        var landmark: String {
            switch self {
            case .separate(let gate, _, _): gate.replacing("{e}", with: "0")
            case .fused(let gateUp, _): gateUp
            case .interleaved(let block): "\(block).gate_up_proj_bias"
            }
        }

        /// Mixtral's names, w1, w2 and w3 (gate, down, up).
        static func numbered(_ block: String) -> ExpertLayout {
            .separate(
                gate: "\(block).experts.{e}.w1.weight", up: "\(block).experts.{e}.w3.weight",
                down: "\(block).experts.{e}.w2.weight")
        }
        /// Mixtral's names, and those in memory, of an expert block that has had two names.
        static let mixtral: [ExpertLayout] = [
            .numbered("block_sparse_moe"), .numbered("mlp"), .inMemory("mlp"), .inMemory("block_sparse_moe"),
        ]
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
