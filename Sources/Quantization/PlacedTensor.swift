import Checkpoints
import Tensors

/// One tensor of a model as a GGUF file holds it: experts merged along a first dimension.
public struct PlacedTensor: Sendable {
    public let role: TensorRole
    public let layer: Int?
    public let shape: [Int]
    /// In the file.
    public let name: String
    /// What it is made of, in order of the first dimension; empty where only shapes are known.
    let parts: [Tensor]
    /// Which of the two matrices of latent attention it is, out of one part that holds both; nil: it is its parts.
    private let half: (expansion: LatentExpansion, isKeys: Bool)?

    /// Where a tensor of the schema goes: one tensor of the file, of what expands latents two, and one for q, k and v where the
    /// architecture has them so.
    /// - Parameter parts: the tensors of a role.
    static func placed(
        _ entry: TensorSchema.Entry, _ config: ModelConfig, splitsLatent: Bool, parts: (TensorRole) -> [Tensor]
    ) -> [PlacedTensor] {
        if config.ggufFusesAttention {
            if entry.role == .key || entry.role == .value { return [] }
            if entry.role == .query {
                return [PlacedTensor(fused: entry, config, [.query, .key, .value].flatMap(parts))]
            }
        }
        let parts = parts(entry.role)
        guard entry.role == .latentUp, splitsLatent, let expansion = LatentExpansion(config) else {
            return [PlacedTensor(entry, config, parts: parts)]
        }
        return [true, false].map { PlacedTensor(entry, parts, expansion, isKeys: $0) }
    }

    /// q above k above v, in parts of one height: that of k and v.
    private init(fused entry: TensorSchema.Entry, _ config: ModelConfig, _ tensors: [Tensor]) {
        (role, layer, half) = (entry.role, entry.layer, nil)
        name = config.ggufName(entry.role, layer: entry.layer)
        let height = config.attention.keyWidth
        shape = [entry.shape[0] + 2 * height, entry.shape[1]]
        parts = tensors.flatMap { tensor in
            stride(from: 0, to: tensor.shape[0], by: height).map { tensor.rows($0..<$0 + height) }
        }
    }

    private init(_ entry: TensorSchema.Entry, _ parts: [Tensor], _ expansion: LatentExpansion, isKeys: Bool) {
        (role, layer, half, self.parts) = (entry.role, entry.layer, (expansion, isKeys), parts)
        let names = TensorRole.ggufSplitNames
        name = TensorRole.placed(isKeys ? names.keys : names.values, layer: entry.layer)
        shape = isKeys ? expansion.keyShape : expansion.valueShape
    }

    /// The same with parts in the order of the file, in memory of their own where that is another.
    func arranged() -> PlacedTensor {
        guard let half, let whole = parts.first else { return self }
        return PlacedTensor(
            self, parts: [half.isKeys ? half.expansion.keys(of: whole) : half.expansion.values(of: whole)])
    }

    private init(_ other: PlacedTensor, parts: [Tensor]) {
        (role, layer, name, shape, half) = (other.role, other.layer, other.name, other.shape, nil)
        self.parts = parts
    }

    private init(_ entry: TensorSchema.Entry, _ config: ModelConfig, parts: [Tensor]) {
        half = nil
        name = config.ggufName(entry.role, layer: entry.layer)
        role = entry.role
        layer = entry.layer
        // GGUF keeps a row of weights as a vector.
        shape =
            switch entry.role {
            case .sharedRouter: [entry.shape[1]]
            default: entry.role.isPerExpert ? [entry.copies] + entry.shape : entry.shape
            }
        self.parts = parts
    }

    public var count: Int { shape.reduce(1, *) }
    public var columns: Int { shape.last ?? 1 }
}

extension Checkpoint {
    /// Every tensor in the order of a GGUF file.
    /// - Parameter splitsLatent: whether what expands latents is written as two matrices.
    func placedTensors(splitsLatent: Bool = true) -> [PlacedTensor] {
        TensorSchema(config).entries.flatMap { entry in
            PlacedTensor.placed(entry, config, splitsLatent: splitsLatent) { tensors.tensors($0, layer: entry.layer) }
        }
    }
}
