import Checkpoints
import FileFormats
import Foundation
import MoEModel
import Quantization
import Tensors
import TestSupport
import Testing
import Tokenizers

@Suite struct ExportTests {
    static func temporaryFile() -> URL {
        FileManager.default.temporaryDirectory.appendingPathComponent("moescope-\(UUID().uuidString).gguf")
    }

    private func export(_ checkpoint: Checkpoint, _ mix: QuantizationMix, _ body: (Checkpoint) throws -> Void) throws {
        let url = Self.temporaryFile()
        defer { try? FileManager.default.removeItem(at: url) }
        let size = try GGUFExport(checkpoint, mix: mix, tokenizer: []).write(to: url)
        let attributes = try FileManager.default.attributesOfItem(atPath: url.path)
        #expect(attributes[.size] as? Int == size)
        try body(Checkpoint.open(url))
    }

    private func family(_ name: String) throws -> Checkpoint {
        try Checkpoint.open(Fixtures.folder.appending(path: name))
    }

    static let cases = [
        "parity/grouped", "parity/wide-heads", "families/olmoe", "families/qwen2_moe", "families/qwen3_moe",
        "families/granitemoe", "families/mixtral-yarn", "families/mixtral-linear", "families/mixtral-window",
        "families/dots1", "families/glm4_moe", "families/ernie4_5_moe", "families/minimax_m2",
        "families/hunyuan_v1_moe", "families/granitemoeshared", "families/afmoe",
        "families/gpt_oss", "families/gpt_oss-mxfp4", "families/deepseek_v2", "families/deepseek_v3",
        "families/glm4_moe_lite", "families/mistral4", "families/deepseek_v3-fp8", "families/deepseek",
        "families/bailing_moe",
    ]

    /// The same model out of a Hugging Face folder and out of the GGUF file made of it: rows of q and k reordered where
    /// the architecture pairs neighbours, and the same log-probabilities.
    @Test(arguments: cases)
    func computesTheSame(_ name: String) throws {
        let original = try family(name)
        let tokens: [Int32] = (0..<24).map { ($0 * 7 + 3) % 60 }
        let expected = try Model(original, precision: .exact).forward(TokenBatch([tokens])).logprob
        try export(original, .f32) { copy in
            #expect(copy.unusedTensors.isEmpty)
            #expect(copy.parametersTotal == original.parametersTotal)
            let found = try Model(copy, precision: .exact).forward(TokenBatch([tokens])).logprob
            for row in 1..<tokens.count { #expect(abs(found[row] - expected[row]) < 1e-4, "row \(row)") }
        }
    }

    /// `attn_qkv.weight`, as llama.cpp's `llama_tensor_get_type` has it.
    @Test(arguments: [
        (QuantizationMix.q2_k, DType.q2_k), (.q3_k_m, .q4_k), (.q4_k_m, .q5_k), (.q5_k_m, .q6_k), (.q6_k, .q6_k),
        (.q8_0, .q8_0),
    ]) func fusedAttentionGetsMoreBits(mix: QuantizationMix, type: DType) {
        let found = mix.dtype(
            .query, layer: 3, layerCount: 20, columns: 2048, expertCount: 256, queriesPerKey: 4, fusesAttention: true)
        #expect(found == type)
    }

    /// Experts that come as MXFP4 stay so in quantized files, block by block.
    @Test func blocksOfMXFP4Stay() throws {
        let original = try family("families/gpt_oss-mxfp4")
        try export(original, .q8_0) { copy in
            for (mine, theirs) in zip(original.tensors.layers, copy.tensors.layers) {
                let (mine, theirs) = (try #require(mine.experts), try #require(theirs.experts))
                for (a, b) in zip(mine.gate + mine.up + mine.down, theirs.gate + theirs.up + theirs.down) {
                    #expect(b.dtype == .mxfp4 && a.whileHeld { Array(a.bytes) } == Array(b.bytes))
                }
            }
        }
    }

    /// llama.cpp has no words for windows in the last layers alone, or for norms that come only after.
    @Test(arguments: [("dots1-groups", "window"), ("flex_olmo", "architecture")])
    func whatCannotBeWrittenIsNamed(_ name: String, _ field: String) throws {
        let checkpoint = try family("families/\(name)")
        do {
            _ = try GGUFExport(checkpoint, mix: .f32, tokenizer: [])
            Issue.record("written")
        } catch { #expect(error.field?.contains(field) == true) }
    }

    /// GGUF to GGUF: metadata and vocabulary stay, types change.
    @Test func fromGGUF() throws {
        let original = try Checkpoint.open(Fixtures.folder.appending(path: "gguf/merged.gguf"))
        try export(original, .q4_0) { copy in
            #expect(copy.config == original.config)
            // Eight experts would give k and v more bits; there are three.
            #expect(copy.tensors.layers[0].experts?.gate[1].dtype == .q4_0)
            #expect(copy.tensors.layers[0].experts?.router.dtype == .f32)
            #expect(copy.tensors.output.dtype == .q8_0)
            let first = try TokenizerFile.open(try #require(original.tokenizerFile))
            let second = try TokenizerFile.open(try #require(copy.tokenizerFile))
            #expect(first.sha256 == second.sha256)
        }
    }

    /// Rows that no block of 256 fills fall back to types of 32, and a name that is taken stays whole on failure.
    @Test(arguments: [QuantizationMix.q2_k, .q3_k_m, .q4_k_m, .q5_k_m, .q6_k, .q8_0, .bf16])
    func everyMixOpens(_ mix: QuantizationMix) throws {
        let original = try family("parity/grouped")
        try export(original, mix) { copy in #expect(copy.parametersTotal == original.parametersTotal) }
    }

    @Test func aPlaceThatCannotBeWritten() throws {
        let export = try GGUFExport(try family("parity/grouped"), mix: .q8_0, tokenizer: [])
        #expect(throws: FileError.self) {
            try export.write(to: URL(filePath: "/nowhere/file.gguf"))
        }
        // Before the work, not when the finished file is renamed.
        var progress = 0
        #expect(throws: FileError.self) {
            try export.write(to: FileManager.default.temporaryDirectory) { _, _ in progress += 1 }
        }
        #expect(progress == 0)
    }

    @Test func vocabularyOfAHuggingFaceFolder() throws {
        let url = Self.temporaryFile()
        defer { try? FileManager.default.removeItem(at: url) }
        let model = Fixtures.folder.appending(path: "sentencepiece/identity.model")
        let metadata = try GGUFTokenizerMetadata(
            try TokenizerFile.open(model), vocabularySize: 600, file: model.path
        ).entries
        try GGUFExport(try family("parity/many-experts"), mix: .f16, tokenizer: metadata).write(to: url)
        let first = try TokenizerFile.open(model)
        let second = try TokenizerFile.open(url)
        #expect(second.vocabularySize == 600)
        for text in ["Hello  world", "größer <sep> x", "👍🏽 <s>", "\n\t"] {
            #expect(first.encode(text) == second.encode(text))
        }
    }
}

@Suite struct InventoryTests {
    static let mixtral = ModelConfig(
        architecture: "mixtral", vocabularySize: 32000, hiddenSize: 4096, contextLength: 32768,
        layers: Array(repeating: LayerKind(), count: 32),
        attention: AttentionConfig(headCount: 32, keyValueHeadCount: 8, headSize: 128),
        router: .softmax(expertsPerToken: 2, normalizes: true), experts: ExpertsConfig(count: 8, size: 14336))

    /// The published figures (arXiv 2401.04088; sizes of the files people download).
    @Test func mixtral() {
        let inventory = TensorInventory(Self.mixtral)
        #expect(inventory.config.parametersTotal == 46_702_792_704)
        #expect(inventory.config.parametersActive == 12_879_925_248)
        func gib(_ mix: QuantizationMix) -> Double { Double(inventory.bytes(mix)) / Double(1 << 30) }
        #expect(abs(gib(.q8_0) - 46.22) < 0.01)
        #expect(abs(gib(.q6_k) - 35.74) < 0.01)
        #expect(abs(gib(.q5_k_m) - 30.95) < 0.01)
        #expect(abs(gib(.q4_k_m) - 26.49) < 0.01)
        #expect(abs(gib(.q4_0) - 24.63) < 0.01)
        #expect(abs(gib(.q3_k_m) - 21.00) < 0.01)
        #expect(abs(gib(.q2_k) - 16.12) < 0.01)
    }

    /// From the config alone, what the checkpoint really holds.
    @Test(arguments: ExportTests.cases + ["families/phimoe"])
    func agreesWithCheckpoints(_ name: String) throws {
        let checkpoint = try Checkpoint.open(Fixtures.folder.appending(path: name))
        let inventory = TensorInventory(checkpoint.config)
        #expect(inventory.config.parametersTotal == checkpoint.parametersTotal)
        #expect(inventory.config.parametersActive == checkpoint.parametersActive)
    }
}
