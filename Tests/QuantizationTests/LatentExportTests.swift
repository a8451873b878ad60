import Checkpoints
import FileFormats
import Foundation
import Hooks
import MoEModel
import Quantization
import TestSupport
import Testing

/// GGUF files of latent attention, in the layouts that llama.cpp's converter has had (`Tests/Fixtures/families/deepseek2_gguf.py`).
@Suite struct LatentExportTests {
    private func open(_ name: String) throws -> Checkpoint {
        try Checkpoint.open(Fixtures.folder.appending(path: "families/\(name)"))
    }

    private func logits(_ checkpoint: Checkpoint) throws -> [Float] {
        let model = try Model(checkpoint, precision: .exact)
        let recorder = HookRecorder()
        let plan = try HookPlan(observing: ["logits"], layerCount: model.config.layerCount)
        let tokens: [Int32] = (0..<44).map { ($0 * 7 + 3) % 60 }
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: recorder)
        return try #require(recorder.floats(HookPoint(.logits)))
    }

    @Test(arguments: ["deepseek2-older.gguf", "deepseek2-split.gguf"])
    func bothLayoutsAreTheFolder(_ name: String) throws {
        let (folder, file) = (try open("deepseek_v2"), try open(name))
        #expect(folder.config.differences(from: file.config).isEmpty)
        #expect(file.notices.isEmpty && file.unusedTensors.isEmpty)
        #expect(try logits(file) == logits(folder))
    }

    /// What is written holds the bytes that the `gguf` package wrote, tensor by tensor.
    @Test func writesWhatTheConverterWrites() throws {
        let url = ExportTests.temporaryFile()
        defer { try? FileManager.default.removeItem(at: url) }
        let export = try GGUFExport(try open("deepseek_v2"), mix: .f32, tokenizer: [])
        #expect(
            export.remarks == ["llama.cpp opens a model without a latent of queries only where it has 26 or 27 layers"])
        try export.write(to: url)
        let reference = try GGUFFile(Fixtures.folder.appending(path: "families/deepseek2-split.gguf"))
        let written = try GGUFFile(url)
        let theirs = Dictionary(uniqueKeysWithValues: reference.tensors.map { ($0.name, $0) })
        #expect(Set(written.tensors.map(\.name)) == Set(theirs.keys))
        for tensor in written.tensors {
            let other = try #require(theirs[tensor.name])
            #expect(tensor.shape == other.shape && Array(tensor.bytes) == Array(other.bytes), "\(tensor.name)")
        }
        for (key, value) in reference.metadata where key.hasPrefix("deepseek2.") {
            guard let number = value.double else { continue }
            let mine = try #require(written.metadata[key]?.double, "\(key)")
            #expect(abs(mine - number) <= 1e-6 * abs(number), "\(key)")
        }
    }

    /// A file keeps its layout, and each is read again.
    @Test(arguments: [("deepseek2-older.gguf", "attn_kv_b"), ("deepseek2-split.gguf", "attn_k_b")])
    func aFileStaysOfItsLayout(_ name: String, _ tensor: String) throws {
        let url = ExportTests.temporaryFile()
        defer { try? FileManager.default.removeItem(at: url) }
        let source = try open(name)
        try GGUFExport(source, mix: .f32, tokenizer: []).write(to: url)
        #expect(try GGUFFile(url).tensors.contains { $0.name == "blk.1.\(tensor).weight" })
        #expect(try logits(Checkpoint.open(url)) == logits(source))
    }

    @Test func settingsThatGGUFCannotHold() throws {
        func refusal(_ name: String, _ changes: [String: Any]) throws -> String? {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("moescope-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let original = Fixtures.folder.appending(path: "families/\(name)")
            var config = try #require(
                JSONSerialization.jsonObject(with: Data(contentsOf: original.appending(path: "config.json")))
                    as? [String: Any])
            for (field, value) in changes { config[field] = value }
            try JSONSerialization.data(withJSONObject: config).write(to: folder.appending(path: "config.json"))
            try FileManager.default.createSymbolicLink(
                at: folder.appending(path: "model.safetensors"),
                withDestinationURL: original.appending(path: "model.safetensors"))
            do {
                _ = try GGUFExport(Checkpoint.open(folder), mix: .f32, tokenizer: [])
                return nil
            } catch { return error.field }
        }
        #expect(try refusal("deepseek_v3", ["rope_interleave": false]) == "rope_interleave")
        let yarn: [String: Any] = [
            "rope_type": "yarn", "rope_theta": 1e4, "factor": 8.0, "original_max_position_embeddings": 64,
        ]
        // Without a multiplier llama.cpp's scores grow with YaRN's factor, and transformers' do not.
        #expect(try refusal("deepseek_v3", ["rope_parameters": yarn]) == "attention_multiplier")
        #expect(
            try refusal(
                "deepseek_v3", ["rope_parameters": yarn.merging(["mscale": 1.0, "mscale_all_dim": 1.0]) { $1 }])
                == nil)
    }
}
