import Checkpoints
import FileFormats
import Foundation
import MoEModel
import Quantization
import TestSupport
import Testing

/// What a GGUF file made of a folder is read as: the same model, or nothing is written and the setting is named.
@Suite struct ReadingBackTests {
    /// A family's fixture with some fields of its config changed, within a section or outside.
    private func family(_ name: String, _ change: (inout [String: Any]) -> Void) throws -> Checkpoint {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("moescope-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let original = Fixtures.folder.appending(path: "families/\(name)")
        var config = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: original.appending(path: "config.json")))
                as? [String: Any])
        change(&config)
        try JSONSerialization.data(withJSONObject: config).write(to: folder.appending(path: "config.json"))
        try FileManager.default.createSymbolicLink(
            at: folder.appending(path: "model.safetensors"),
            withDestinationURL: original.appending(path: "model.safetensors"))
        return try Checkpoint.open(folder)
    }

    private func rotary(_ config: inout [String: Any], _ changes: [String: Any]) {
        let section = config["rope_parameters"] as? [String: Any] ?? [:]
        config["rope_parameters"] = section.merging(changes) { $1 }
    }

    private func refusal(_ checkpoint: Checkpoint) -> FileError? {
        do {
            _ = try GGUFExport(checkpoint, mix: .f32, tokenizer: [])
            return nil
        } catch { return error }
    }

    /// The largest difference of log-probabilities over 44 tokens between a checkpoint and its file's file.
    private func difference(_ checkpoint: Checkpoint) throws -> Float {
        let (first, second) = (ExportTests.temporaryFile(), ExportTests.temporaryFile())
        defer { for url in [first, second] { try? FileManager.default.removeItem(at: url) } }
        try GGUFExport(checkpoint, mix: .f32, tokenizer: []).write(to: first)
        try GGUFExport(try Checkpoint.open(first), mix: .f32, tokenizer: []).write(to: second)
        let tokens: [Int32] = (0..<44).map { ($0 * 7 + 3) % 60 }
        func logprob(_ checkpoint: Checkpoint) throws -> [Float] {
            try Model(checkpoint, precision: .exact).forward(TokenBatch([tokens])).logprob
        }
        return zip(try logprob(checkpoint), try logprob(Checkpoint.open(second))).dropFirst().map { abs($0 - $1) }.max()
            ?? 0
    }

    /// One architecture of GGUF stands for Granite-MoE with and without shared experts.
    @Test func noSharedExpertsAfterAll() throws {
        let checkpoint = try family("granitemoeshared") { $0["shared_intermediate_size"] = 0 }
        #expect(checkpoint.config.experts.sharedSize == nil)
        #expect(refusal(checkpoint) == nil)
    }

    @Test func boundsOfYarn() throws {
        let checkpoint = try family("mixtral-yarn") { rotary(&$0, ["beta_fast": 4.0, "beta_slow": 0.25]) }
        #expect(checkpoint.config.attention.rotary.scaling?.betaFast == 4)
        #expect(try difference(checkpoint) < 1e-4)
    }

    /// LongRoPE's tables go into the file, and out of it into the next.
    @Test func longRoPE() throws {
        let checkpoint = try family("phimoe") { rotary(&$0, ["long_mscale": 1.1, "short_mscale": 1.1]) }
        #expect(try difference(checkpoint) < 1e-4)
    }

    @Test func settingsWithoutAKeyAreNamed() throws {
        let yarn = refusal(try family("mixtral-yarn") { rotary(&$0, ["truncate": false]) })
        #expect(yarn?.reason == .unsupported)
        #expect(yarn?.field == "truncate")
        #expect(yarn?.found == "false")
        let jitter = refusal(
            try family("phimoe") {
                rotary(&$0, ["long_mscale": 1.1, "short_mscale": 1.1])
                $0["router_jitter_noise"] = 0.2
            })
        #expect(jitter?.field == "router_jitter_noise")
        #expect(refusal(try family("phimoe") { _ in })?.field == "long_mscale", "two magnitudes, 1.1 and 1.25")
        let windows = refusal(
            try family("qwen2_moe") {
                $0["sliding_window"] = 5
                $0["use_sliding_window"] = true
                $0["layer_types"] = ["full_attention", "sliding_attention"]
            })
        #expect(windows?.field == "the window of layer 1")
    }

    @Test func whatLlamaDoesNotReadIsSaid() throws {
        let export = try GGUFExport(try family("olmoe") { $0["norm_topk_prob"] = true }, mix: .f32, tokenizer: [])
        #expect(export.remarks.count == 2)
        #expect(export.remarks[0].contains("expert_weights_norm"))
        #expect(export.remarks[1].contains("clip"))
    }
}
