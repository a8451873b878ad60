import Foundation
import FileFormats
import Tensors

/// Every tensor of a Hugging Face folder by name: one `model.safetensors`, or the shards of its index.
struct HuggingFaceWeights {
    let folder: URL
    let files: [URL]
    let tensors: [String: Tensor]
    /// The file that says which tensors there should be: what "missing" refers to.
    let tableOfContents: URL

    init(folder: URL) throws(FileError) {
        self.folder = folder
        let single = folder.appendingPathComponent("model.safetensors")
        let index = folder.appendingPathComponent("model.safetensors.index.json")
        if FileManager.default.fileExists(atPath: single.path) {
            let file = try SafetensorsFile(single)
            files = [single]
            tensors = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0) })
            tableOfContents = single
        } else if FileManager.default.fileExists(atPath: index.path) {
            (files, tensors) = try Self.readShards(index: index, folder: folder)
            tableOfContents = index
        } else {
            throw Self.noWeights(folder)
        }
    }

    private static func noWeights(_ folder: URL) -> FileError {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        var hint: String?
        if let gguf = names.filter({ $0.hasSuffix(".gguf") }).min() {
            hint = "name the file itself: \(folder.appendingPathComponent(gguf).path)"
        } else if names.contains(where: { $0.hasSuffix(".bin") || $0.hasSuffix(".pt") || $0.hasSuffix(".pth") }) {
            hint = "pickled weights are not read: save the model with transformers' save_pretrained"
        } else if names.contains(where: { $0.hasPrefix("consolidated") && $0.hasSuffix(".safetensors") }) {
            hint = "this is Mistral's own layout: use the folder in Hugging Face's"
        }
        return FileError(
            .missing, file: folder.path, expected: "model.safetensors or model.safetensors.index.json",
            found: "neither", hint: hint)
    }

    private static func readShards(
        index: URL, folder: URL
    ) throws(FileError) -> ([URL], [String: Tensor]) {
        let object = try ConfigFile(index)
        guard let map = object["weight_map"]?.object else { throw object.wrong("weight_map", expected: "an object") }
        var shards: [String: SafetensorsFile] = [:]
        var tensors: [String: Tensor] = [:]
        for (name, value) in zip(map.keys, map.values) {
            // A name with a slash would reach outside the folder.
            guard let fileName = value.string, !fileName.isEmpty, !fileName.contains("/") else {
                throw FileError(
                    .malformed, file: index.path, field: "field weight_map.\(name)",
                    expected: "the name of a file in this folder", found: value.kindDescription)
            }
            let shard: SafetensorsFile
            if let open = shards[fileName] {
                shard = open
            } else {
                let file = folder.appendingPathComponent(fileName)
                guard FileManager.default.fileExists(atPath: file.path) else {
                    throw FileError(
                        .missing, file: file.path, problem: "no such file",
                        hint: "\(index.lastPathComponent) names it for tensor \(name): download it")
                }
                shard = try SafetensorsFile(file)
                shards[fileName] = shard
            }
            guard let tensor = shard[name] else {
                throw FileError(
                    .missing, file: shard.url.path, field: "tensor \(name)",
                    problem: "not in the shard that \(index.lastPathComponent) names for it")
            }
            tensors[name] = tensor
        }
        return (shards.keys.sorted().map { folder.appendingPathComponent($0) }, tensors)
    }
}
