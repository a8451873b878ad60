import Checkpoints
import Tensors

extension QuantizationMix {
    /// The mix whose `general.file_type` this is; nil for kinds of files that are not made here.
    public init?(fileType: Int) {
        guard let mix = QuantizationMix.allCases.first(where: { $0.fileType == fileType }) else { return nil }
        self = mix
    }

    /// The mix that gives every tensor the type it has in a checkpoint; nil where none does.
    public init?(of checkpoint: Checkpoint) {
        // What expands latents may have been put together out of two tensors.
        let tensors = checkpoint.placedTensors(splitsLatent: false).filter { $0.role != .latentUp }
        let config = checkpoint.config
        let mix = QuantizationMix.allCases.first { mix in
            tensors.allSatisfy { tensor in
                let wanted = mix.dtype(tensor, of: config)
                return tensor.parts.allSatisfy { $0.dtype == wanted }
            }
        }
        guard let mix else { return nil }
        self = mix
    }
}

/// What the tensors of a checkpoint that share a type are for.
public struct TypeUse: Sendable {
    public let dtype: DType
    /// Tensors as they are in the file: of merged experts one, of separate ones each.
    public let tensors: Int
    public let parameters: Int
    public let bytes: Int
    /// Names of their roles, as GGUF has them without ".weight", in the order of the forward pass.
    public let roles: [String]

    /// Types by falling number of parameters.
    public static func all(in checkpoint: Checkpoint) -> [TypeUse] {
        struct Group {
            var names: Set<String> = []
            var parameters = 0
            var bytes = 0
            var roles: [String] = []
        }
        var groups: [DType: Group] = [:]
        for tensor in checkpoint.placedTensors(splitsLatent: false) {
            let role = tensor.role.ggufName.replacing(".weight", with: "")
            for part in tensor.parts {
                var group = groups[part.dtype] ?? Group()
                // A slice of a merged tensor is called "name[3]".
                group.names.insert(part.name.split(separator: "[").first.map(String.init) ?? part.name)
                group.parameters += part.count
                group.bytes += part.bytes.count
                if !group.roles.contains(role) { group.roles.append(role) }
                groups[part.dtype] = group
            }
        }
        return groups.map { dtype, group in
            TypeUse(
                dtype: dtype, tensors: group.names.count, parameters: group.parameters, bytes: group.bytes,
                roles: group.roles)
        }.sorted { ($1.parameters, $0.dtype.rawValue) < ($0.parameters, $1.dtype.rawValue) }
    }
}
