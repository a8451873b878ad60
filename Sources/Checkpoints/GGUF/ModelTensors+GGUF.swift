import FileFormats
import Tensors

extension ModelTensors {
    /// Picks every tensor of the schema out of a GGUF file.
    static func gguf(_ table: inout TensorTable, config: ModelConfig) throws(FileError) -> ModelTensors {
        var taken = table
        var latentParts: [Int: LatentParts] = [:]
        var tensors = try ModelTensors(config) { entry throws(FileError) in
            let name = config.ggufName(entry.role, layer: entry.layer)
            if entry.role.isPerExpert { return try experts(&taken, name: name, entry) }
            // A row of weights is a vector in GGUF.
            if entry.role == .sharedRouter {
                return [try taken.take(name, shape: [entry.shape[1]]).reshaped(entry.shape)]
            }
            if entry.role == .latentUp, !taken.has(name), let expansion = LatentExpansion(config) {
                let names = TensorRole.ggufSplitNames
                let keys = try taken.take(
                    TensorRole.placed(names.keys, layer: entry.layer), shape: expansion.keyShape)
                let values = try taken.take(
                    TensorRole.placed(names.values, layer: entry.layer), shape: expansion.valueShape)
                if let layer = entry.layer { latentParts[layer] = LatentParts(keys: keys, values: values) }
                return [try expansion.joined(keys: keys, values: values, file: taken.file)]
            }
            if config.ggufFusesAttention, [.query, .key, .value].contains(entry.role) {
                return [try taken.takePart(entry.role, of: name, config)]
            }
            return [try taken.take(name, shape: entry.shape)]
        }
        for (layer, parts) in latentParts { tensors.layers[layer].latentParts = parts }
        table = taken
        return tensors
    }

    /// One merged tensor, or (files of early 2024) one per expert.
    private static func experts(
        _ table: inout TensorTable, name: String, _ entry: TensorSchema.Entry
    ) throws(FileError) -> [Tensor] {
        func single(_ expert: Int) -> String { name.replacing("_exps.", with: ".\(expert).") }
        var experts: [Tensor] = []
        if table.has(single(0)) {
            for expert in 0..<entry.copies { experts.append(try table.take(single(expert), shape: entry.shape)) }
        } else {
            let merged = try table.take(name, shape: [entry.copies] + entry.shape)
            for expert in 0..<entry.copies { experts.append(merged.slice(expert)) }
        }
        return experts
    }
}
