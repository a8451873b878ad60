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

    init(_ entry: TensorSchema.Entry, _ config: ModelConfig, parts: [Tensor]) {
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
    func placedTensors() -> [PlacedTensor] {
        tensors.byEntry(config).map { PlacedTensor($0.entry, config, parts: $0.tensors) }
    }
}
