import Checkpoints
import Tensors

/// The names, shapes and sizes of a model's tensors, from its config alone: no weights are needed.
public struct TensorInventory: Sendable {
    public let config: ModelConfig
    public let tensors: [PlacedTensor]

    public init(_ config: ModelConfig) {
        self.config = config
        let (hidden, width, experts) = (config.hiddenSize, config.expertSize, config.expertCount)
        let queries = config.headCount * config.headSize
        let keys = config.keyValueHeadCount * config.headSize
        let hasNormBias = config.normKind == .layer
        var list: [PlacedTensor] = []
        func add(_ role: TensorRole, _ layer: Int?, _ shape: [Int], if condition: Bool = true) {
            if condition { list.append(PlacedTensor(role: role, layer: layer, shape: shape, parts: [])) }
        }
        add(.embedding, nil, [config.vocabularySize, hidden])
        for layer in 0..<config.layerCount {
            add(.attentionNorm, layer, [hidden])
            add(.attentionNormBias, layer, [hidden], if: hasNormBias)
            add(.query, layer, [queries, hidden])
            add(.queryBias, layer, [queries], if: config.hasAttentionBias)
            add(.key, layer, [keys, hidden])
            add(.keyBias, layer, [keys], if: config.hasAttentionBias)
            add(.value, layer, [keys, hidden])
            add(.valueBias, layer, [keys], if: config.hasAttentionBias)
            let perHead = config.queryKeyNorm == .perHead
            add(.queryNorm, layer, [perHead ? config.headSize : queries], if: config.queryKeyNorm != nil)
            add(.keyNorm, layer, [perHead ? config.headSize : keys], if: config.queryKeyNorm != nil)
            add(.attentionOutput, layer, [hidden, queries])
            add(.attentionOutputBias, layer, [hidden], if: config.hasAttentionBias && config.hasAttentionOutputBias)
            add(.expertNorm, layer, [hidden])
            add(.expertNormBias, layer, [hidden], if: hasNormBias)
            add(.router, layer, [experts, hidden])
            add(.gate, layer, [experts, width, hidden])
            add(.up, layer, [experts, width, hidden])
            add(.down, layer, [experts, hidden, width])
            if let shared = config.sharedExpertSize {
                add(.sharedRouter, layer, [hidden])
                add(.sharedGate, layer, [shared, hidden])
                add(.sharedUp, layer, [shared, hidden])
                add(.sharedDown, layer, [hidden, shared])
            }
        }
        add(.finalNorm, nil, [hidden])
        add(.finalNormBias, nil, [hidden], if: hasNormBias)
        add(.output, nil, [config.vocabularySize, hidden], if: !config.tiesOutputToEmbedding)
        add(.outputBias, nil, [config.vocabularySize], if: config.hasOutputBias)
        tensors = list
    }

    /// Weights in all.
    public var parametersTotal: Int { tensors.reduce(0) { $0 + $1.count } }

    /// Weights one token goes through.
    public var parametersActive: Int { tensors.reduce(0) { $0 + active($1.count, $1) } }

    /// Bytes of all weights in a mix of types.
    public func bytes(_ mix: QuantizationMix) -> Int { tensors.reduce(0) { $0 + bytes($1, mix) } }

    /// Bytes of weights that decoding one token reads: those it goes through, and one row of the embedding.
    public func bytesReadPerToken(_ mix: QuantizationMix) -> Int {
        tensors.reduce(0) { sum, tensor in
            let all = bytes(tensor, mix)
            let isLookedUp = tensor.role == .embedding && !config.tiesOutputToEmbedding
            return sum + (isLookedUp ? all / config.vocabularySize : active(all, tensor))
        }
    }

    /// Bytes of embedding and output: what a model that is read layer by layer keeps in memory.
    public func outerBytes(_ mix: QuantizationMix) -> Int {
        tensors.filter { $0.layer == nil }.reduce(0) { $0 + bytes($1, mix) }
    }

    /// The part of a tensor's amount that one token uses: K of E experts, or all.
    private func active(_ amount: Int, _ tensor: PlacedTensor) -> Int {
        switch tensor.role {
        case .gate, .up, .down: amount / config.expertCount * config.expertsPerToken
        default: amount
        }
    }

    private func bytes(_ tensor: PlacedTensor, _ mix: QuantizationMix) -> Int {
        let dtype = mix.dtype(
            tensor.role, layer: tensor.layer ?? 0, layerCount: config.layerCount, columns: tensor.columns,
            expertCount: config.expertCount, queriesPerKey: config.headCount / config.keyValueHeadCount)
        return (dtype.byteCount(elements: tensor.columns) ?? 0) * (tensor.count / max(1, tensor.columns))
    }
}
