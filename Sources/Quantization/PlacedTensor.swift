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

    /// Where a tensor of the schema goes: one tensor of the file or, of what expands latents, two.
    static func placed(
        _ entry: TensorSchema.Entry, _ config: ModelConfig, parts: [Tensor], splitsLatent: Bool
    ) -> [PlacedTensor] {
        guard entry.role == .latentUp, splitsLatent, let expansion = LatentExpansion(config) else {
            return [PlacedTensor(entry, config, parts: parts)]
        }
        return [true, false].map { PlacedTensor(entry, parts, expansion, isKeys: $0) }
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
        tensors.byEntry(config).flatMap {
            PlacedTensor.placed($0.entry, config, parts: $0.tensors, splitsLatent: splitsLatent)
        }
    }
}
