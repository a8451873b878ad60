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
    public var parametersTotal: Int { config.parametersTotal }

    /// Weights one token goes through: all but the experts it is not sent to. Mixtral-8x7B: 12.9 billion.
    public var parametersActive: Int { config.parametersActive }

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
        TensorSchema(config).entries.reduce(0) { sum, entry in
            let stored =
                entry.layer.map { tensors.layers[$0].stored(entry.role) } ?? tensors.tensors(entry.role, layer: nil)
            let bytes = stored.reduce(0) { $0 + $1.bytes.count }
            let isLookedUp = entry.role == .embedding && !tensors.isOutputTied
            return sum + (isLookedUp ? tensors.embedding.rowBytes : config.activeShare(of: bytes, entry.role))
        }
    }
}
