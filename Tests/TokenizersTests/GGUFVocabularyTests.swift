import FileFormats
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite struct GGUFVocabularyTests {
    /// merged.gguf carries the vocabulary of identity.model: the same ids for everything but around user-defined pieces, which
    /// llama.cpp finds before it puts spaces before texts.
    @Test func sentencePieceVocabulary() throws {
        let tokenizer = try TokenizerFile.open(Fixtures.folder.appending(path: "gguf/merged.gguf"))
        #expect(tokenizer.kind == .sentencePieceBPE)
        #expect(tokenizer.bos == 1)
        #expect(tokenizer.eos == 2)
        #expect(tokenizer.vocabularySize == 520)
        for item in try SentencePieceReference("identity").cases {
            let text = String(decoding: unhex(item.hex), as: UTF8.self)
            if text.contains("<sep>") || text.contains("experts!") { continue }
            #expect(tokenizer.encode(bytes: unhex(item.hex)) == item.ids, "text \(item.hex)")
            #expect(hex(tokenizer.decodeBytes(item.ids)) == item.decoded, "text \(item.hex)")
        }
    }

    @Test func randomStrings() throws {
        let tokenizer = try TokenizerFile.open(Fixtures.folder.appending(path: "gguf/merged.gguf"))
        var generator = SplitMix64(state: 20)
        for (block, expected) in try SentencePieceReference("identity").random.enumerated() {
            var ids: [Int32] = []
            for _ in 0..<1000 { ids += tokenizer.encode(RandomText.next(&generator)) + [-1] }
            #expect(digest(ids) == expected, "block \(block)")
        }
    }

    /// The hash is of the vocabulary, whatever file it is in.
    @Test func hashOfTheVocabulary() throws {
        let merged = try TokenizerFile.open(Fixtures.folder.appending(path: "gguf/merged.gguf"))
        let separate = try TokenizerFile.open(Fixtures.folder.appending(path: "gguf/separate.gguf"))
        #expect(merged.sha256 == separate.sha256)
        #expect(merged.sha256.count == 64)
    }

    @Test func filesWithoutVocabulary() throws {
        let found = #expect(throws: TokenizerError.self) {
            try TokenizerFile.open(Fixtures.folder.appending(path: "gguf/values.gguf"))
        }
        #expect(found?.problem == "the file has no vocabulary")
    }
}
