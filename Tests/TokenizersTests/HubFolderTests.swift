import FileFormats
import Foundation
import TestSupport
import Testing
import Tokenizers

/// Tokenizers of folders laid out as on the Hub (`Tests/Fixtures/hub-folders/make.py`) in GGUF's words. All that is compared with
/// transformers is in `Tests/python/test_hub_folders.py`.
@Suite struct HubFolderTests {
    private struct Written {
        let tokenizer: any Tokenizer
        let metadata: [String: GGUFValue]
        let notices: [String]
        let read: any Tokenizer
    }

    /// Writes a checkpoint's tokenizer as GGUF metadata and reads it.
    private func written(_ name: String, rows: Int, ends: Set<Int32>?) throws -> Written {
        let file = Fixtures.folder.appending(path: "hub-folders/\(name)/tokenizer.json")
        let tokenizer = try TokenizerFile.open(file)
        let metadata = try GGUFTokenizerMetadata(tokenizer, vocabularySize: rows, ends: ends, file: file.path)
        try metadata.check(against: tokenizer, file: file.path)
        let url = FileManager.default.temporaryDirectory.appending(path: "moescope-\(UUID().uuidString).gguf")
        defer { try? FileManager.default.removeItem(at: url) }
        try Data(GGUFHeader.encoded(metadata: metadata.entries, tensors: [])).write(to: url)
        return Written(
            tokenizer: tokenizer,
            metadata: Dictionary(uniqueKeysWithValues: metadata.entries.map { ($0.key, $0.value) }),
            notices: metadata.notices, read: try TokenizerFile.open(url))
    }

    /// What the keys of a file name as ends of a text.
    private func declared(_ metadata: [String: GGUFValue]) -> [Int32] {
        ["eos", "eot", "eom"].compactMap { metadata["tokenizer.ggml.\($0)_token_id"]?.int.map(Int32.init) }
    }

    /// Phi-3.5-MoE: `</s>` is text, and answers end at `<|end|>`, `<|assistant|>` and `<|endoftext|>`; llama.cpp knows the
    /// first and the last by what they spell, and would take `</s>` for one more.
    @Test func textThatSpellsAnEnd() throws {
        let phi = try written("Phi-3.5-MoE-instruct", rows: 544, ends: [520, 521, 527])
        #expect(phi.tokenizer.encode("a</s> b").contains(2))
        #expect(phi.read.encode("a</s> b") == phi.tokenizer.encode("a</s> b"))
        #expect(phi.metadata["tokenizer.ggml.eom_token_id"]?.int == 521)
        #expect(phi.metadata["tokenizer.ggml.eot_token_id"] == nil)
        #expect(EndTokens.all(declared: declared(phi.metadata), phi.read) == [520, 521, 527])
        #expect(phi.notices.contains { $0.contains("takes some tokens (2) for control tokens") }, "\(phi.notices)")
    }

    /// Ends beyond what GGUF's keys hold, fewer than what tokens spell, and none that is known.
    @Test(arguments: [[520, 521, 522, 523, 524, 527], [527], [520, 521, 522, 527]] as [Set<Int32>])
    func endsOfAnswers(_ ends: Set<Int32>) throws {
        let phi = try written("Phi-3.5-MoE-instruct", rows: 544, ends: ends)
        #expect(EndTokens.all(declared: declared(phi.metadata), phi.read) == ends)
        let said = phi.notices.contains { $0.contains("answers end at") }
        #expect(said == (ends.count != 4), "\(phi.notices)")
    }

    @Test func endsThatNobodyNamed() throws {
        let phi = try written("Phi-3.5-MoE-instruct", rows: 544, ends: nil)
        #expect(phi.metadata["tokenizer.ggml.eom_token_id"] == nil)
        #expect(EndTokens.all(declared: declared(phi.metadata), phi.read) == [520, 527])
    }

    /// Qwen's marks for filling in code are found in text; llama.cpp takes them for control tokens by what they spell, in files
    /// of other programs too, and ends no text there that transformers does not end.
    @Test func marksOfInfilling() throws {
        let qwen = try written("Qwen3-30B-A3B", rows: 544, ends: [480, 482])
        #expect(qwen.tokenizer.encode("a<|fim_prefix|>b").contains(496))
        #expect(qwen.read.encode("a<|fim_prefix|>b") == qwen.tokenizer.encode("a<|fim_prefix|>b"))
        #expect(qwen.notices.contains { $0.contains("takes some tokens (496, 497") }, "\(qwen.notices)")
        let url = FileManager.default.temporaryDirectory.appending(path: "moescope-\(UUID().uuidString).gguf")
        defer { try? FileManager.default.removeItem(at: url) }
        let plain = qwen.metadata.filter { $0.key != "moescope.tokenizer" }.map { (key: $0.key, value: $0.value) }
        try Data(GGUFHeader.encoded(metadata: plain, tensors: [])).write(to: url)
        let other = try TokenizerFile.open(url)
        #expect(!other.encode("a<|fim_prefix|>b").contains(496))
        #expect(other.encode(markup: "a<|fim_prefix|>b").contains(496))
        #expect(EndTokens.all(declared: [482], other) == [480, 482])
    }

    /// Rows of the embedding that no token has decode to nothing, as in llama.cpp, whatever the file calls them.
    @Test(arguments: [("Qwen3-30B-A3B", 544), ("Phi-3.5-MoE-instruct", 544), ("OLMoE-1B-7B-0924-Instruct", 544)])
    func rowsWithoutToken(_ name: String, _ rows: Int) throws {
        let checkpoint = try written(name, rows: rows, ends: nil)
        let last = Int32(rows - 1)
        #expect(checkpoint.read.piece(last) == "[PAD\(last)]")
        #expect(checkpoint.read.decode([last]) == "")
        #expect(checkpoint.read.decode([100, last, 101]) == checkpoint.tokenizer.decode([100, 101]))
    }

    /// Byte tokens that are no character: one U+FFFD for each, as the `tokenizers` library writes.
    @Test func bytesThatAreNoText() throws {
        let phi = try written("Phi-3.5-MoE-instruct", rows: 544, ends: nil)
        let ids = try ["<0xE2>", "<0x3A>", "<0x82>"].map { try #require(phi.tokenizer.id(ofPiece: $0)) }
        #expect(phi.tokenizer.decode(ids) == "\u{FFFD}\u{FFFD}\u{FFFD}")
        #expect(phi.read.decode(ids) == "\u{FFFD}\u{FFFD}\u{FFFD}")
        #expect(phi.read.joinsByteTokens)
    }
}
