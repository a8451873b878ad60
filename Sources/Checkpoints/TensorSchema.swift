/// What a tensor does in the model. Linear weights are [out, in].
public enum TensorRole: UInt8, Sendable, CaseIterable {
    case embedding
    case attentionNorm, attentionNormBias
    /// Latent attention's two steps of queries, and of keys and values together.
    case queryDown, queryDownNorm, queryUp, latentDown, latentNorm, latentUp
    case query, queryBias, key, keyBias, value, valueBias
    case queryNorm, keyNorm
    /// What head outputs are gated by.
    case attentionGate
    case attentionOutput, attentionOutputBias
    /// One logit per query head.
    case attentionSinks
    /// The norm of what attention adds to the residual stream.
    case attentionPostNorm
    /// The norm before the feed-forward network or experts; Hugging Face's `post_attention_layernorm`.
    case feedForwardNorm, feedForwardNormBias
    /// The norm of what the feed-forward network or the experts add to the residual stream.
    case feedForwardPostNorm
    case denseGate, denseUp, denseDown
    case router
    /// Added to the scores for choosing only.
    case routerSelectionBias
    case routerBias
    case expertGate, expertUp, expertDown
    case expertGateBias, expertUpBias, expertDownBias
    case sharedRouter, sharedGate, sharedUp, sharedDown
    case finalNorm, finalNormBias, output, outputBias

    /// Whether there is one tensor of this role per expert.
    public var isPerExpert: Bool {
        switch self {
        case .expertGate, .expertUp, .expertDown, .expertGateBias, .expertUpBias, .expertDownBias: true
        default: false
        }
    }

    /// Whether the tensor is a matrix that may be stored in blocks; norms, biases and routers stay F32 in the files we write.
    public var isMatrix: Bool {
        switch self {
        case .embedding, .output, .queryDown, .queryUp, .latentDown, .latentUp, .query, .key, .value, .attentionGate,
            .attentionOutput, .denseGate, .denseUp,
            .denseDown,
            .expertGate, .expertUp, .expertDown, .sharedGate, .sharedUp, .sharedDown:
            true
        default: false
        }
    }

    /// The usual name in a GGUF file, without its layer; experts are merged along a first dimension. Some architectures have
    /// others: `ModelConfig.ggufName`.
    public var ggufName: String {
        switch self {
        case .embedding: "token_embd.weight"
        case .attentionNorm: "attn_norm.weight"
        case .attentionNormBias: "attn_norm.bias"
        case .queryDown: "attn_q_a.weight"
        case .queryDownNorm: "attn_q_a_norm.weight"
        case .queryUp: "attn_q_b.weight"
        case .latentDown: "attn_kv_a_mqa.weight"
        case .latentNorm: "attn_kv_a_norm.weight"
        case .latentUp: "attn_kv_b.weight"
        case .query: "attn_q.weight"
        case .queryBias: "attn_q.bias"
        case .key: "attn_k.weight"
        case .keyBias: "attn_k.bias"
        case .value: "attn_v.weight"
        case .valueBias: "attn_v.bias"
        case .queryNorm: "attn_q_norm.weight"
        case .keyNorm: "attn_k_norm.weight"
        case .attentionGate: "attn_gate.weight"
        case .attentionOutput: "attn_output.weight"
        case .attentionOutputBias: "attn_output.bias"
        case .attentionSinks: "attn_sinks.weight"
        case .feedForwardNorm: "ffn_norm.weight"
        case .feedForwardNormBias: "ffn_norm.bias"
        case .attentionPostNorm: "post_attention_norm.weight"
        case .feedForwardPostNorm: "post_ffw_norm.weight"
        case .denseGate: "ffn_gate.weight"
        case .denseUp: "ffn_up.weight"
        case .denseDown: "ffn_down.weight"
        case .router: "ffn_gate_inp.weight"
        case .routerSelectionBias: "exp_probs_b.bias"
        case .expertGate: "ffn_gate_exps.weight"
        case .expertUp: "ffn_up_exps.weight"
        case .expertDown: "ffn_down_exps.weight"
        case .routerBias: "ffn_gate_inp.bias"
        case .expertGateBias: "ffn_gate_exps.bias"
        case .expertUpBias: "ffn_up_exps.bias"
        case .expertDownBias: "ffn_down_exps.bias"
        case .sharedRouter: "ffn_gate_inp_shexp.weight"
        case .sharedGate: "ffn_gate_shexp.weight"
        case .sharedUp: "ffn_up_shexp.weight"
        case .sharedDown: "ffn_down_shexp.weight"
        case .finalNorm: "output_norm.weight"
        case .finalNormBias: "output_norm.bias"
        case .output: "output.weight"
        case .outputBias: "output.bias"
        }
    }

    /// `latentUp` in two, as GGUF files hold it since 2025: what expands keys, and what expands values.
    public static let ggufSplitNames = (keys: "attn_k_b.weight", values: "attn_v_b.weight")

    /// The name of a layer's tensor.
    /// - Parameter name: without its layer.
    public static func placed(_ name: String, layer: Int?) -> String { layer.map { "blk.\($0).\(name)" } ?? name }
}

/// Every tensor of a model, from its config alone: the one list that loaders, inventory, export, streaming, memory planning
/// and parameter counts iterate.
public struct TensorSchema: Sendable {
    /// One tensor: its role, where it is, and its shape. Experts are one entry per role and layer; `shape` is one expert's.
    public struct Entry: Sendable, Equatable {
        public let role: TensorRole
        /// nil outside the layers.
        public let layer: Int?
        public let shape: [Int]
        /// Tensors of this shape: E for experts, otherwise 1.
        public let copies: Int

        /// Elements, of all copies.
        public var count: Int { copies * shape.reduce(1, *) }
    }

    /// In the order in which a pass reads them: embedding, layer by layer, final norm, output.
    public let entries: [Entry]

    public init(_ config: ModelConfig) {
        var entries = Self.entries(config, [.embedding], layer: nil)
        for layer in config.layers.indices { entries += Self.layer(config, layer) }
        entries += Self.entries(config, [.finalNorm, .finalNormBias, .output, .outputBias], layer: nil)
        self.entries = entries
    }

    private static let layerRoles: [TensorRole] = [
        .attentionNorm, .attentionNormBias, .queryDown, .queryDownNorm, .queryUp,
        .latentDown, .latentNorm, .latentUp, .query, .queryBias, .key, .keyBias, .value, .valueBias, .queryNorm,
        .keyNorm, .attentionSinks, .attentionGate,
        .attentionOutput, .attentionOutputBias, .attentionPostNorm, .feedForwardNorm, .feedForwardNormBias, .denseGate,
        .denseUp, .denseDown,
        .router, .routerBias, .routerSelectionBias, .expertGate, .expertGateBias, .expertUp, .expertUpBias, .expertDown,
        .expertDownBias, .sharedRouter, .sharedGate, .sharedUp,
        .sharedDown, .feedForwardPostNorm,
    ]

    /// The tensors of one layer, in the order in which a pass reads them.
    public static func layer(_ config: ModelConfig, _ layer: Int) -> [Entry] {
        entries(config, layerRoles, layer: layer)
    }

    private static func entries(_ config: ModelConfig, _ roles: [TensorRole], layer: Int?) -> [Entry] {
        roles.compactMap { role in
            shape(role, config, layer.map { config.layers[$0] }).map {
                Entry(role: role, layer: layer, shape: $0, copies: role.isPerExpert ? config.experts.count : 1)
            }
        }
    }

    /// The shape of a role, of one expert where there are several; nil where a model, or a layer of this kind, has none.
    ///
    /// V vocabulary · D hidden · H/G query and key/value heads · d head size · E experts · F expert width.
    private static func shape(_ role: TensorRole, _ config: ModelConfig, _ kind: LayerKind?) -> [Int]? {
        let (hidden, attention, experts) = (config.hiddenSize, config.attention, config.experts)
        let hasExperts = kind?.feedForward == .experts
        func present(_ condition: Bool, _ shape: Int...) -> [Int]? { condition ? shape : nil }
        func normWidth(_ whole: Int) -> [Int]? {
            attention.queryKeyNorm.map { [$0 == .perHead ? attention.headSize : whole] }
        }
        func shared(_ shape: (Int) -> [Int]) -> [Int]? { hasExperts ? experts.sharedSize.map(shape) : nil }
        func dense(_ shape: (Int) -> [Int]) -> [Int]? { hasExperts ? nil : config.denseSize.map(shape) }
        switch role {
        case .embedding: return [config.vocabularySize, hidden]
        case .output: return present(!config.tiesOutputToEmbedding, config.vocabularySize, hidden)
        case .outputBias: return present(config.hasOutputBias, config.vocabularySize)
        case .finalNorm: return [hidden]
        case .attentionNorm, .feedForwardNorm: return present(config.norm.placement != .after, hidden)
        case .attentionPostNorm, .feedForwardPostNorm: return present(config.norm.placement != .before, hidden)
        case .attentionNormBias, .feedForwardNormBias, .finalNormBias:
            return present(config.norm.kind == .layer, hidden)
        case .query: return present(attention.latent?.queryRank == nil, attention.queryWidth, hidden)
        case .key, .value: return present(attention.latent == nil, attention.keyWidth, hidden)
        case .queryDown: return attention.latent?.queryRank.map { [$0, hidden] }
        case .queryDownNorm: return attention.latent?.queryRank.map { [$0] }
        case .queryUp: return attention.latent?.queryRank.map { [attention.queryWidth, $0] }
        case .latentDown: return attention.latent.map { [$0.rank + attention.rotatedSize, hidden] }
        case .latentNorm: return attention.latent.map { [$0.rank] }
        case .latentUp:
            let unrotated = attention.headSize - attention.rotatedSize
            return attention.latent.map { [attention.headCount * (unrotated + $0.valueSize), $0.rank] }
        case .queryBias: return present(attention.hasBias, attention.queryWidth)
        case .keyBias, .valueBias: return present(attention.hasBias, attention.keyWidth)
        case .queryNorm: return normWidth(attention.queryWidth)
        case .keyNorm: return normWidth(attention.keyWidth)
        case .attentionGate: return present(attention.gatesHeads, attention.queryWidth, hidden)
        case .attentionOutput: return [hidden, attention.outputWidth]
        case .attentionOutputBias: return present(attention.hasOutputBias, hidden)
        case .attentionSinks: return present(attention.hasSinks, attention.headCount)
        case .denseGate, .denseUp: return dense { [$0, hidden] }
        case .denseDown: return dense { [hidden, $0] }
        case .router: return present(hasExperts, experts.count, hidden)
        case .routerSelectionBias: return present(hasExperts && config.router.select.addsBias, experts.count)
        case .expertGate, .expertUp: return present(hasExperts, experts.size, hidden)
        case .expertDown: return present(hasExperts, hidden, experts.size)
        case .routerBias: return present(hasExperts && experts.clamp != nil, experts.count)
        case .expertGateBias, .expertUpBias: return present(hasExperts && experts.clamp != nil, experts.size)
        case .expertDownBias: return present(hasExperts && experts.clamp != nil, hidden)
        case .sharedRouter: return experts.sharedIsGated ? shared { _ in [1, hidden] } : nil
        case .sharedGate, .sharedUp: return shared { [$0, hidden] }
        case .sharedDown: return shared { [hidden, $0] }
        }
    }
}

extension ModelConfig {
    /// Weights in all; a tied output counts once. Mixtral-8x7B: 46.7 billion.
    public var parametersTotal: Int { TensorSchema(self).entries.reduce(0) { $0 + $1.count } }

    /// Weights one token goes through: of E experts K. Mixtral-8x7B: 12.9 billion.
    public var parametersActive: Int {
        TensorSchema(self).entries.reduce(0) { $0 + activeShare(of: $1.count, $1.role) }
    }

    /// The part of a tensor's amount (weights, bytes) that one token uses: K of E experts, or all.
    public func activeShare(of amount: Int, _ role: TensorRole) -> Int {
        role.isPerExpert ? amount / experts.count * expertsPerToken : amount
    }
}
