import Tensors

/// Every tensor of a model by its part in the forward pass, present and of the right shape: what the engine runs on.
///
/// Linear weights are [out, in]. V vocabulary · D hidden · H/G query and key/value heads · d head size · E experts ·
/// F expert width.
public struct ModelTensors: Sendable {
    /// [V, D]
    public var embedding: Tensor
    public var layers: [LayerTensors]
    /// [D]
    public var finalNorm: Tensor
    /// [V, D]; the embedding itself where the model ties them.
    public var output: Tensor
    /// [D]; LayerNorm models only.
    public var finalNormBias: Tensor?
    /// [V]
    public var outputBias: Tensor?

    public init(embedding: Tensor, layers: [LayerTensors], finalNorm: Tensor, output: Tensor) {
        self.embedding = embedding
        self.layers = layers
        self.finalNorm = finalNorm
        self.output = output
    }
}

/// The tensors of one decoder layer.
public struct LayerTensors: Sendable {
    /// [D]
    public var attentionNorm: Tensor
    /// [H·d, D]
    public var query: Tensor
    /// [G·d, D]
    public var key: Tensor
    /// [G·d, D]
    public var value: Tensor
    /// [D, H·d]
    public var attentionOutput: Tensor
    /// [D]; Hugging Face's `post_attention_layernorm`.
    public var expertNorm: Tensor
    /// [E, D]; `block_sparse_moe.gate`.
    public var router: Tensor
    /// E tensors [F, D]; `w1`.
    public var gate: [Tensor]
    /// E tensors [F, D]; `w3`.
    public var up: [Tensor]
    /// E tensors [D, F]; `w2`.
    public var down: [Tensor]

    // What only some families have.

    /// [D]; LayerNorm models only, as `expertNormBias`.
    public var attentionNormBias: Tensor?
    /// [D]
    public var expertNormBias: Tensor?
    /// [H·d]
    public var queryBias: Tensor?
    /// [G·d]
    public var keyBias: Tensor?
    /// [G·d]
    public var valueBias: Tensor?
    /// [D]
    public var attentionOutputBias: Tensor?
    /// [d] or [H·d], as `ModelConfig.queryKeyNorm` says.
    public var queryNorm: Tensor?
    /// [d] or [G·d]
    public var keyNorm: Tensor?
    /// The expert every token goes through.
    public var sharedExpert: SharedExpertTensors?

    public init(
        attentionNorm: Tensor, query: Tensor, key: Tensor, value: Tensor, attentionOutput: Tensor, expertNorm: Tensor,
        router: Tensor, gate: [Tensor], up: [Tensor], down: [Tensor]
    ) {
        self.attentionNorm = attentionNorm
        self.query = query
        self.key = key
        self.value = value
        self.attentionOutput = attentionOutput
        self.expertNorm = expertNorm
        self.router = router
        self.gate = gate
        self.up = up
        self.down = down
    }
}

/// The expert every token goes through, S wide: y += σ(x · router) · down(silu(gate x) ⊙ up x).
public struct SharedExpertTensors: Sendable {
    /// [S, D]
    public var gate: Tensor
    /// [S, D]
    public var up: Tensor
    /// [D, S]
    public var down: Tensor
    /// [1, D]; nil: the shared expert is added with weight 1.
    public var router: Tensor?

    public init(gate: Tensor, up: Tensor, down: Tensor, router: Tensor?) {
        self.gate = gate
        self.up = up
        self.down = down
        self.router = router
    }
}
