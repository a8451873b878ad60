import Foundation
import FileFormats
import TestSupport
import Testing
import Tokenizers

/// What tokens of real vocabularies say to a reader.
@Suite struct TokenizerTextTests {
    private static let text = "Größer als 3 €:\n\tif x:  return 🙂"

    /// The bytes of a text's tokens, one after the other, are the text: nothing is lost by taking it apart.
    @Test(arguments: ["granite", "olmo", "qwen", "llama3", "polyglot"])
    func tokensAreTheText(_ name: String) throws {
        let tokenizer = try JSONTokenizerReference.tokenizer(name)
        let ids = tokenizer.encode(Self.text)
        let bytes = ids.flatMap { TokenText.bytes(of: tokenizer.piece($0) ?? "", kind: tokenizer.kind) }
        // SentencePiece's BPE puts a space before the text.
        #expect(String(decoding: bytes, as: UTF8.self) == (name == "polyglot" ? " " : "") + Self.text)
        #expect(!ids.contains { tokenizer.text($0).contains("Ġ") || tokenizer.text($0).contains("▁") })
    }

    @Test func byteTokensOfSentencePiece() throws {
        let tokenizer = try TokenizerFile.open(Fixtures.polyglot.appending(path: "tokenizer.model"))
        // Polyglot's vocabulary has neither a piece of line breaks nor one for the emoji's four bytes.
        #expect(tokenizer.encode("\n🙂").map(tokenizer.text) == ["␣", "⏎", "⟨F0⟩", "⟨9F⟩", "⟨99⟩", "⟨82⟩"])
        #expect(tokenizer.text(-1) == "⟨#-1⟩")
    }
}
