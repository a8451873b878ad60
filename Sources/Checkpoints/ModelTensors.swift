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
