import Checkpoints
import Tensors

/// The names, shapes and sizes of a model's tensors, from its config alone: no weights are needed.
public struct TensorInventory: Sendable {
    public let config: ModelConfig
    public let tensors: [PlacedTensor]

    public init(_ config: ModelConfig) {
        self.config = config
        tensors = TensorSchema(config).entries.flatMap {
            PlacedTensor.placed($0, config, splitsLatent: true) { _ in [] }
        }
    }

    /// Bytes of all weights in a mix of types.
    public func bytes(_ mix: QuantizationMix) -> Int { tensors.reduce(0) { $0 + bytes($1, mix) } }

    /// Bytes of weights that decoding one token reads: those it goes through, and one row of the embedding.
    public func bytesReadPerToken(_ mix: QuantizationMix) -> Int {
        tensors.reduce(0) { sum, tensor in
            let all = bytes(tensor, mix)
            let isLookedUp = tensor.role == .embedding && !config.tiesOutputToEmbedding
            return sum + (isLookedUp ? all / config.vocabularySize : config.activeShare(of: all, tensor.role))
        }
    }

    /// Bytes of embedding and output: what a model that is read layer by layer keeps in memory.
    public func outerBytes(_ mix: QuantizationMix) -> Int {
        tensors.filter { $0.layer == nil }.reduce(0) { $0 + bytes($1, mix) }
    }

    private func bytes(_ tensor: PlacedTensor, _ mix: QuantizationMix) -> Int {
        let dtype = mix.dtype(tensor, of: config)
        return (dtype.byteCount(elements: tensor.columns) ?? 0) * (tensor.count / max(1, tensor.columns))
    }
}
