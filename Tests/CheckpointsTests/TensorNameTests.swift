import Checkpoints
import FileFormats
import Foundation
import Tensors
import TestSupport
import Testing

/// Names of tensors family by family (`conversion_mapping.py` of transformers 5.24), and weights of other tools.
@Suite struct TensorNameTests {
    /// A family's fixture with every tensor under another name.
    private func renamed(_ family: String, fusing: Bool = false, _ name: (String) -> String) throws -> Checkpoint {
        let folder = try TemporaryFolder()
        let original = Fixtures.folder.appending(path: "families/\(family)")
        try FileManager.default.copyItem(at: original.appending(path: "config.json"), to: folder.path("config.json"))
        let file = try SafetensorsFile(original.appending(path: "model.safetensors"))
        var entries: [SafetensorsFile.Entry] = []
        var experts: [String: [(String, Tensor)]] = [:]
        for tensor in file.tensors {
            if fusing, let at = tensor.name.range(of: ".experts.") {
                experts[String(tensor.name[..<at.lowerBound]), default: []].append(
                    (String(tensor.name[at.upperBound...]), tensor))
            } else {
                entries.append(.init(name: name(tensor.name), dtype: .f32, shape: tensor.shape, values: tensor.floats))
            }
        }
        for (block, tensors) in experts {
            let byName = Dictionary(uniqueKeysWithValues: tensors)
            let count = tensors.count / 3
            func all(_ parts: [String]) -> [Float] {
                (0..<count).flatMap { expert in parts.flatMap { byName["\(expert).\($0).weight"]?.floats ?? [] } }
            }
            let shape = try #require(byName["0.w1.weight"]).shape
            entries.append(
                .init(
                    name: name(block + ".experts.gate_up_proj"), dtype: .f32, shape: [count, 2 * shape[0], shape[1]],
                    values: all(["w1", "w3"])))
            entries.append(
                .init(
                    name: name(block + ".experts.down_proj"), dtype: .f32, shape: [count, shape[1], shape[0]],
                    values: all(["w2"])))
        }
        try SafetensorsFile.write(entries, to: folder.path("model.safetensors"))
        let checkpoint = try Checkpoint.open(folder.url)
        let plain = try Checkpoint.open(original)
        for (mine, theirs) in zip(checkpoint.tensors.layers, plain.tensors.layers) {
            let (mine, theirs) = (try #require(mine.experts), try #require(theirs.experts))
            #expect(mine.router.floats == theirs.router.floats)
            for (a, b) in zip(mine.gate + mine.up + mine.down, theirs.gate + theirs.up + theirs.down) {
                #expect(a.floats == b.floats)
            }
        }
        return checkpoint
    }

    /// `mlp.router.weight` with `mlp.experts.gate_up_proj`.
    @Test func phiAsInMemory() throws {
        let checkpoint = try renamed("phimoe", fusing: true) {
            $0.replacing("block_sparse_moe.gate", with: "mlp.router").replacing("block_sparse_moe", with: "mlp")
        }
        #expect(checkpoint.unusedTensors.isEmpty)
    }

    /// `block_sparse_moe.router.weight` with `block_sparse_moe.experts.gate_up_proj`.
    @Test func graniteAsInMemory() throws {
        let checkpoint = try renamed("granitemoe") {
            $0.replacing("router.layer.weight", with: "router.weight")
                .replacing("input_linear.weight", with: "experts.gate_up_proj")
                .replacing("output_linear.weight", with: "experts.down_proj")
        }
        #expect(checkpoint.unusedTensors.isEmpty)
    }

    @Test func mixtralAsInMemory() throws {
        let checkpoint = try renamed("mixtral-linear", fusing: true) { $0.replacing("block_sparse_moe", with: "mlp") }
        #expect(checkpoint.unusedTensors.isEmpty)
    }

    /// Renamed and not fused, which transformers reads as well.
    @Test func mixtralRenamed() throws {
        _ = try renamed("mixtral-linear") { $0.replacing("block_sparse_moe", with: "mlp") }
    }

    /// Names that transformers 5 has for others are not this family's.
    @Test func oneListForEachFamily() throws {
        let error = checkpointError {
            _ = try renamed("granitemoe") {
                $0.replacing("block_sparse_moe.router.layer", with: "mlp.gate").replacing(
                    "block_sparse_moe", with: "mlp")
            }
        }
        #expect(error?.reason == .missing)
    }

    @Test(arguments: [
        (["qweight", "qzeros", "scales", "g_idx"], "GPTQ"), (["qweight", "qzeros", "scales"], "AWQ"),
        (["weight_packed", "weight_scale"], "compressed-tensors"),
    ])
    func packedWeights(parts: [String], name: String) throws {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        for part in parts { model.tensors.append(("model.layers.0.self_attn.q_proj.\(part)", [2, 2])) }
        try model.write(to: folder.url)
        let error = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(error?.problem == "the weights are quantized by \(name)")
    }

    @Test func wrappedModels() throws {
        for prefix in ["module.", "_orig_mod.", "base_model.model."] {
            let folder = try TemporaryFolder()
            var model = TinyMixtral()
            model.tensors = model.tensors.map { (prefix + $0.name, $0.shape) }
            try model.write(to: folder.url)
            let error = checkpointError { _ = try Checkpoint.open(folder.url) }
            #expect(error?.found?.contains(prefix) == true)
        }
    }

    @Test(arguments: ["model.safetensors", "config.json"])
    func pointersOfGitLFS(_ name: String) throws {
        let folder = try TemporaryFolder()
        try TinyMixtral().write(to: folder.url)
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n"
        try pointer.write(to: folder.path(name), atomically: true, encoding: .utf8)
        let error = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(error?.problem == "a Git LFS pointer, not the file itself")
        #expect(error?.hint?.contains("git lfs pull") == true)
    }

    /// Ties as transformers 5 makes them: not where both matrices are there and differ; either name where one is.
    @Test func tiedMatrices() throws {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        model.config["tie_word_embeddings"] = "true"
        try model.write(to: folder.url)
        let both = try Checkpoint.open(folder.url)
        #expect(!both.config.tiesOutputToEmbedding)
        #expect(both.notices.contains { $0.contains("tie_word_embeddings") })
        model.tensors.removeAll { $0.name == "model.embed_tokens.weight" }
        try model.write(to: folder.url)
        let one = try Checkpoint.open(folder.url)
        #expect(one.config.tiesOutputToEmbedding)
        #expect(one.tensors.embedding.name == "lm_head.weight")
    }
}
