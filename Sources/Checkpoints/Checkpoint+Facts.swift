import Tensors

extension Checkpoint {
    /// How much of a model is stored in one type.
    public struct DTypeShare: Sendable, Equatable {
        public let dtype: DType
        public let tensors: Int
        public let parameters: Int
        public let bytes: Int
    }

    /// Weights in all; a tied output counts once. Mixtral-8x7B: 46.7 billion.
    public var parametersTotal: Int { tensors.distinct.reduce(0) { $0 + $1.count } }

    /// Weights one token goes through: all but the experts it is not sent to. Mixtral-8x7B: 12.9 billion.
    public var parametersActive: Int {
        let experts = tensors.layers.reduce(0) { sum, layer in
            sum + (layer.gate + layer.up + layer.down).reduce(0) { $0 + $1.count }
        }
        return parametersTotal - experts / config.expertCount * (config.expertCount - config.expertsPerToken)
    }

    /// Bytes of all weights in use.
    public var weightBytes: Int { tensors.distinct.reduce(0) { $0 + $1.bytes.count } }

    /// Bytes of all tensors in the files, used or not.
    public var storedBytes: Int { weightBytes + unusedBytes }

    /// The types weights are stored in, the one with most parameters first.
    public var dtypes: [DTypeShare] {
        var groups: [DType: [Tensor]] = [:]
        for tensor in tensors.distinct { groups[tensor.dtype, default: []].append(tensor) }
        return groups.map { dtype, tensors in
            DTypeShare(
                dtype: dtype, tensors: tensors.count, parameters: tensors.reduce(0) { $0 + $1.count },
                bytes: tensors.reduce(0) { $0 + $1.bytes.count })
        }.sorted { ($1.parameters, $0.dtype.rawValue) < ($0.parameters, $1.dtype.rawValue) }
    }

    /// The type that most parameters are stored in, by name: "BF16", "Q4_K".
    public var quantization: String { dtypes.first?.dtype.rawValue ?? "none" }
}

extension Checkpoint {
    /// Whether most weights are stored in blocks.
    public var isQuantized: Bool { (dtypes.first?.dtype.blockElements ?? 1) > 1 }

    /// Bytes of weights that decoding one token reads: those it goes through, and one row of the embedding.
    public var bytesReadPerToken: Int {
        let experts = tensors.layers.reduce(0) { sum, layer in
            sum + (layer.gate + layer.up + layer.down).reduce(0) { $0 + $1.bytes.count }
        }
        let embedding = tensors.isOutputTied ? 0 : tensors.embedding.bytes.count - tensors.embedding.rowBytes
        return weightBytes - embedding - experts / config.expertCount * (config.expertCount - config.expertsPerToken)
    }
}

extension ModelTensors {
    /// Whether the output is the embedding itself.
    public var isOutputTied: Bool { output.bytes.baseAddress == embedding.bytes.baseAddress }

    /// Every tensor once, outer parts first, then layer by layer.
    public var distinct: [Tensor] {
        var result = [embedding, finalNorm] + [finalNormBias, outputBias].compactMap { $0 }
        if !isOutputTied { result.append(output) }
        return result + layers.flatMap(\.all)
    }
}

extension LayerTensors {
    /// Every tensor of the layer, in the order the forward pass reads them.
    public var all: [Tensor] {
        let attention: [Tensor?] = [
            attentionNorm, attentionNormBias, query, queryBias, key, keyBias, value, valueBias, queryNorm, keyNorm,
            attentionOutput, attentionOutputBias, expertNorm, expertNormBias, router,
            sharedExpert?.gate, sharedExpert?.up, sharedExpert?.down, sharedExpert?.router,
        ]
        return attention.compactMap { $0 } + gate + up + down
    }
}
