import Foundation
import FileFormats
import TestSupport
import Testing
import Tokenizers

/// GGUF vocabularies as old and other programs wrote them, read as llama.cpp reads them (src/llama-vocab.cpp).
@Suite struct GGUFInTheWildTests {
    typealias Metadata = [(key: String, value: GGUFValue)]

    /// A GGUF file with this metadata and no tensors.
    private func open<R>(_ metadata: Metadata, _ body: (any Tokenizer) throws -> R) throws -> R {
        let url = FileManager.default.temporaryDirectory.appending(path: "moescope-\(UUID().uuidString).gguf")
        defer { try? FileManager.default.removeItem(at: url) }
        try Data(GGUFHeader.encoded(metadata: metadata, tensors: [])).write(to: url)
        return try body(TokenizerFile.open(url))
    }

    /// The vocabulary of identity.model (520 pieces), with tokens added to it.
    private func sentencePiece(adding tokens: [(piece: String, kind: Int64)] = []) throws -> Metadata {
        let model = Fixtures.folder.appending(path: "sentencepiece/identity.model")
        let metadata = try GGUFTokenizerMetadata(
            try TokenizerFile.open(model), vocabularySize: 520, file: model.path)
        return metadata.entries.filter { $0.key != "moescope.tokenizer" }.map { entry in
            switch (entry.key, entry.value) {
            case ("tokenizer.ggml.tokens", .strings(let pieces)):
                (entry.key, .strings(pieces + tokens.map { Array($0.piece.utf8) }))
            case ("tokenizer.ggml.token_type", .integers(let kinds)):
                (entry.key, .integers(kinds + tokens.map(\.kind)))
            case ("tokenizer.ggml.scores", .floats(let scores)):
                (entry.key, .floats(scores + tokens.map { _ in -1000 }))
            default: entry
            }
        }
    }

    private func changed(_ metadata: Metadata, _ key: String, _ change: (GGUFValue) -> GGUFValue?) -> Metadata {
        metadata.compactMap { entry in
            entry.key == "tokenizer.ggml.\(key)" ? change(entry.value).map { (entry.key, $0) } : entry
        }
    }

    /// A byte-level vocabulary: every byte, and a few words.
    private func byteLevel(_ pre: String?, _ more: Metadata = []) -> Metadata {
        var pieces = (0..<256).map { Array(Self.stand($0).utf8) }
        let words: [(String, String)] = [
            ("1", "2"), ("12", "3"), ("(", ")"), (Self.stand(32), "a"), ("\(Self.stand(32))a", "b"),
        ]
        pieces += words.map { Array(($0.0 + $0.1).utf8) } + ["<|im_start|>", "[T]"].map { Array($0.utf8) }
        let kinds = [Int64](repeating: 1, count: 256 + words.count) + [3, 4]
        var metadata: Metadata = [
            ("tokenizer.ggml.model", .string(Array("gpt2".utf8))), ("tokenizer.ggml.tokens", .strings(pieces)),
            ("tokenizer.ggml.token_type", .integers(kinds)),
            ("tokenizer.ggml.merges", .strings(words.map { Array("\($0.0) \($0.1)".utf8) })),
        ]
        if let pre { metadata.append(("tokenizer.ggml.pre", .string(Array(pre.utf8)))) }
        return metadata + more
    }

    /// GPT-2's character for a byte.
    private static func stand(_ byte: Int) -> String {
        let printable = (0..<256).filter { 33...126 ~= $0 || 161...172 ~= $0 || 174...255 ~= $0 }
        let others = (0..<256).filter { !printable.contains($0) }
        let code = others.firstIndex(of: byte).map { 256 + $0 } ?? byte
        return String(Character(Unicode.Scalar(UInt32(code)) ?? " "))
    }

    /// Marks that an old converter called user-defined: found before the text is read, a space before what follows, as
    /// transformers makes of the same tokens beside tokenizer.model.
    @Test func userDefinedMarks() throws {
        let layout = try Layout.named("model-added-tokens-json")
        let reference = try #require(Layout.reference)
        let metadata = try sentencePiece(adding: [("<|im_start|>", 4), ("<|im_end|>", 4), ("[T]", 4)])
        try open(metadata) { tokenizer in
            let place = try #require(reference.texts.firstIndex(of: "a [T] b [T]c"))
            #expect(tokenizer.tokens(of: reference.texts[place]) == layout.ids[place])
            // "<|im_end|>" ends a turn whatever its kind: llama.cpp takes it for a control token.
            #expect(!tokenizer.encode("a<|im_end|>").contains(521))
            #expect(tokenizer.encode(markup: "<|im_start|>a<|im_end|>") == [520] + tokenizer.encode("a") + [521])
            #expect(EndTokens.all(declared: [], tokenizer) == [2, 521])
        }
    }

    /// add_bos_token and add_eos_token, and what holds where they are not there.
    @Test func flags() throws {
        let plain = try sentencePiece()
        let text = "the smoke"
        let ids = try open(plain) { $0.encode(text) }
        func tokens(_ bos: Bool?, _ eos: Bool?) throws -> [Int32] {
            var metadata = changed(changed(plain, "add_bos_token") { _ in nil }, "add_eos_token") { _ in nil }
            if let bos { metadata.append(("tokenizer.ggml.add_bos_token", .bool(bos))) }
            if let eos { metadata.append(("tokenizer.ggml.add_eos_token", .bool(eos))) }
            return try open(metadata) { $0.tokens(of: text) }
        }
        #expect(try tokens(nil, nil) == [1] + ids)
        #expect(try tokens(false, nil) == ids)
        #expect(try tokens(true, true) == [1] + ids + [2])
        let bos: Metadata = [("tokenizer.ggml.bos_token_id", .unsigned(261))]
        #expect(try open(byteLevel("qwen2", bos)) { $0.tokens(of: " ab") } == [260])
        #expect(try open(byteLevel("llama-bpe", bos)) { $0.tokens(of: " ab") } == [261, 260])
    }

    /// Without `tokenizer.ggml.pre`, or with "default": llama.cpp's default words, and a sentence that says so. Its words: runs
    /// of punctuation, then GPT-2's, then runs of digits, then three digits at a time.
    @Test(arguments: [nil, "default"] as [String?])
    func preTokenizerMissing(_ pre: String?) throws {
        try open(byteLevel(pre)) { tokenizer in
            #expect(tokenizer.frame.notices.count == 1)
            #expect(tokenizer.frame.notices.first?.contains("tokenizer.ggml.pre") == true)
            // " ab" is one word; "123" is cut from " 12345" after its space; "()" is punctuation.
            #expect(tokenizer.encode(" ab") == [260])
            #expect(tokenizer.encode(" 12345") == [32, 257, 52, 53])
            #expect(tokenizer.encode("ab() ab") == [97, 98, 258, 260])
            #expect(tokenizer.encode(" (") == [32, 40])
        }
        #expect(try open(byteLevel("qwen2")) { $0.frame.notices } == [])
        // Every digit a word with Qwen's.
        #expect(try open(byteLevel("qwen2")) { $0.encode("123") } == [49, 50, 51])
    }

    /// Qwen's vocabulary merges "</" and "s>", and llama.cpp takes the piece for the end of a text by its spelling.
    @Test func aMergeMayMakeWhatIsSpelledLikeAnEnd() throws {
        let plain = byteLevel("qwen2")
        let pieces = changed(plain, "tokens") { value in
            .strings((value.strings ?? []) + ["</", "s>", "</s>"].map { Array($0.utf8) })
        }
        let kinds = changed(pieces, "token_type") { value in .integers((value.integers ?? []) + [1, 1, 1]) }
        let merged = changed(kinds, "merges") { value in
            .strings((value.strings ?? []) + ["< /", "s >", "</ s>"].map { Array($0.utf8) })
        }
        try open(merged) { tokenizer in
            // Words end between the slash and the letter, so a text never becomes it.
            #expect(tokenizer.encode("</s>") == [263, 115, 62])
            #expect(EndTokens.all(declared: [], tokenizer).contains(265))
        }
    }

    /// Words as llama.cpp's own tests of each name have them, in miniature.
    @Test(
        arguments: [
            ("deepseek-llm", " 12ab", [32, 256, 97, 98]), ("deepseek-coder", " 12ab", [32, 49, 50, 97, 98]),
            ("deepseek-v3", "1234", [257, 52]), ("afmoe", "1234", [49, 50, 51, 52]), ("tekken", "12", [49, 50]),
            ("glm4", "123", [257]), ("bailingmoe", "12", [49, 50]), ("seed-coder", " ab", [260]),
            ("qwen35", " ab", [260]),
            ("minimax-m2", " ab", [260]), ("kimi-k2", "1234", [257, 52]), ("hunyuan-dense", "12a", [256, 97]),
        ] as [(String, String, [Int32])])
    func preTokenizersByName(_ name: String, _ text: String, _ ids: [Int32]) throws {
        #expect(try open(byteLevel(name)) { $0.encode(text) } == ids)
    }

    @Test func kimiIsWrittenByNameWithANotice() throws {
        try open(byteLevel("kimi-k2")) { tokenizer in
            let written = try GGUFTokenizerMetadata(tokenizer, vocabularySize: 263, file: "a")
            #expect(written.entries.first { $0.key == "tokenizer.ggml.pre" }?.value.string == "kimi-k2")
            #expect(written.notices.contains { $0.contains("does not end a word before a capital letter") })
        }
    }

    @Test func preTokenizerUnknown() throws {
        let found = #expect(throws: TokenizerError.self) { try open(byteLevel("tomorrow")) { _ in } }
        #expect(found?.subject == "metadata tokenizer.ggml.pre")
    }

    /// No unknown piece, an empty piece, a piece twice, whole scores, no scores, no kinds.
    @Test func vocabulariesThatLlamaCppOpens() throws {
        let plain = try sentencePiece()
        let text = "the smoke rises, größer 👍🏽"
        let ids = try open(plain) { $0.encode(text) }
        let noUnknown = changed(plain, "token_type") { value in
            .integers((value.integers ?? []).map { $0 == 2 ? 3 : $0 })
        }
        #expect(try open(noUnknown) { $0.encode(text) } == ids)
        let more = try sentencePiece(adding: [("", 1), ("th", 1), ("th", 1)])
        #expect(try open(more) { $0.encode(text) } == ids)
        #expect(try open(more) { $0.piece(520) } == "[EMPTY_520]")
        let whole = changed(plain, "scores") { value in .integers((value.floats ?? []).map { Int64($0) }) }
        #expect(try open(whole) { $0.encode(text) } == ids)
        let noKinds = changed(plain, "token_type") { _ in nil }
        #expect(try open(noKinds) { $0.tokens(of: text) } == [1] + ids)
        // All scores alike: the leftmost pair is merged first.
        let noScores = changed(plain, "scores") { _ in nil }
        #expect(try open(noScores) { $0.decode($0.encode(text)) } == text)
        let few = changed(plain, "scores") { _ in .floats([1, 2]) }
        #expect(throws: TokenizerError.self) { try open(few) { _ in } }
        let damaged = changed(plain, "scores") { value in .floats((value.floats ?? []).map { _ in .nan }) }
        let found = #expect(throws: TokenizerError.self) { try open(damaged) { _ in } }
        #expect(found?.subject == "score of piece 0")
    }

    /// llama.cpp knows Phi-3 by its name: white space after its control tokens belongs to them.
    @Test func phi() throws {
        let metadata = try sentencePiece(adding: [("<|user|>", 3)])
        let name: Metadata = [("general.name", .string(Array("Phi-3.5 MoE".utf8)))]
        let spaced = try open(metadata) { $0.encode(markup: "<|user|>\nhi") }
        let stripped = try open(metadata + name) { $0.encode(markup: "<|user|>\nhi") }
        #expect(stripped == [520] + (try open(metadata) { $0.encode("hi") }))
        #expect(spaced.count > stripped.count)
    }
}
