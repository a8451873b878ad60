import Foundation
import TestSupport
import Testing
import Tokenizers

/// Folders laid out as real families lay them out, as `Tests/Fixtures/tokenizer-layouts/make.py` wrote them down.
struct Layout: Decodable, Sendable, CustomTestStringConvertible {
    /// A file's contents, or another fixture with some text in it replaced.
    struct Source: Decodable, Sendable {
        let text: String?
        let from: String?
        let replace: [[String]]?

        func contents() throws -> Data {
            if let text { return Data(text.utf8) }
            var data = try Data(contentsOf: Fixtures.folder.appending(path: #require(from)))
            for pair in replace ?? [] {
                let place = try #require(data.range(of: Data(pair[0].utf8)))
                data.replaceSubrange(place, with: Data(pair[1].utf8))
            }
            return data
        }
    }
    struct Reference: Decodable {
        let texts: [String]
        let markup: [String]
        let layouts: [Layout]
    }

    let name: String
    let files: [String: Source]
    let bos: Int32?
    let eos: Int32?
    let named: [String: String]
    let ids: [[Int32]]
    let markup: [[Int32]]

    var testDescription: String { name }

    static let reference: Reference? = try? JSONDecoder().decode(
        Reference.self, from: Data(contentsOf: Fixtures.folder.appending(path: "tokenizer-layouts/layouts.json")))
    static var all: [Layout] { reference?.layouts ?? [] }

    static func named(_ name: String) throws -> Layout { try #require(all.first { $0.name == name }) }

    /// Writes the folder and opens its tokenizer as a checkpoint does.
    func open<R>(removing removed: [String] = [], _ body: (any Tokenizer, URL) throws -> R) throws -> R {
        let folder = FileManager.default.temporaryDirectory.appending(path: "moescope-layout-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, source) in files where !removed.contains(name) {
            try source.contents().write(to: folder.appending(path: name))
        }
        let file = try #require(
            ["tokenizer.json", "tokenizer.model", "vocab.json"].map { folder.appending(path: $0) }
                .first { FileManager.default.fileExists(atPath: $0.path) })
        return try body(TokenizerFile.open(file), folder)
    }
}

@Suite struct LayoutTests {
    @Test func allAreThere() { #expect(Layout.all.count == 41) }

    /// Ids of whole texts, what is around them, and ids of a chat template's output: those of AutoTokenizer.
    @Test(arguments: Layout.all)
    func asInTransformers(_ layout: Layout) throws {
        let reference = try #require(Layout.reference)
        try layout.open { tokenizer, _ in
            for (text, ids) in zip(reference.texts, layout.ids) {
                #expect(tokenizer.tokens(of: text) == ids, "text \(text.debugDescription)")
            }
            for (text, ids) in zip(reference.markup, layout.markup) {
                #expect(tokenizer.encode(markup: text) == ids, "markup \(text.debugDescription)")
            }
            #expect(tokenizer.bos == layout.bos)
            #expect(tokenizer.eos == layout.eos)
            let named = Dictionary(uniqueKeysWithValues: tokenizer.frame.named.map { ($0.name, $0.piece) })
            #expect(named == layout.named)
        }
    }

    /// Layouts whose flags are not what is done say so.
    @Test(arguments: [
        ("mixtral-both", []), ("mixtral-flag-contradicts", ["add_bos_token false", "add_eos_token true"]),
        ("granite-flag-contradicts", ["add_bos_token true"]), ("model-no-flag", ["add_bos_token is not said"]),
        ("model-bos", []), ("ids-with-gaps", ["[T]\" is 507, not 600", "[R]\" is 508, not 590"]),
    ])
    func whatIsNotObeyedIsSaid(_ name: String, _ mentions: [String]) throws {
        try Layout.named(name).open { tokenizer, _ in
            let notices = tokenizer.frame.notices
            #expect(notices.count == mentions.count, "\(notices)")
            for mention in mentions { #expect(notices.contains { $0.contains(mention) }, "\(notices)") }
        }
    }

    /// SentencePiece's own file alone: BOS, as in llama.cpp; transformers 5 puts none, which is said.
    @Test func sentencePieceAlone() throws {
        let layout = try Layout.named("model-bos")
        try layout.open(removing: ["tokenizer_config.json"]) { tokenizer, _ in
            #expect(tokenizer.tokens(of: "the smoke rises") == layout.ids[0])
            #expect(tokenizer.frame.prefix == [1])
            #expect(tokenizer.frame.notices.count == 1)
        }
    }

    /// A vocabulary that does not say how text is cut is refused in a line that says what to do.
    @Test func vocabularyAlone() throws {
        let layout = try Layout.named("qwen3-vocab-merges")
        let family = Layout(
            name: "mixtral-vocab-merges",
            files: layout.files.merging([
                "config.json": .init(text: #"{"model_type": "mixtral"}"#, from: nil, replace: nil)
            ]) {
                $1
            }, bos: nil, eos: nil, named: [:], ids: [], markup: [])
        let found = #expect(throws: TokenizerError.self) {
            try family.open(removing: ["tokenizer_config.json"]) { _, _ in }
        }
        #expect(found?.description.contains("vocab.json: a vocabulary alone does not say") == true)
        #expect(found?.description.contains("save_pretrained") == true)
        #expect(throws: TokenizerError.self) { try layout.open(removing: ["merges.txt"]) { _, _ in } }
    }

    /// What GGUF cannot hold, by layout; all others make the same tokens from GGUF metadata.
    static let refused = [
        "model-nfkc": "precompiled_charsmap", "qwen3-prefix-space": "pre_tokenizer",
        "special-split": "split_special_tokens",
    ]

    @Test func spacesAfterWords() throws {
        let model = Fixtures.folder.appending(path: "sentencepiece/suffix.model")
        let tokenizer = try TokenizerFile.open(model)
        #expect(tokenizer.frame.notices.contains { $0.contains("treat_whitespace_as_suffix") })
        let found = #expect(throws: TokenizerError.self) {
            try GGUFTokenizerMetadata(tokenizer, vocabularySize: 300, file: model.path)
        }
        #expect(found?.subject == "trainer_spec.treat_whitespace_as_suffix")
    }

    @Test(arguments: Layout.all)
    func throughGGUF(_ layout: Layout) throws {
        try layout.open { tokenizer, folder in
            func metadata() throws -> GGUFTokenizerMetadata {
                let metadata = try GGUFTokenizerMetadata(tokenizer, vocabularySize: 700, file: folder.path)
                try metadata.check(against: tokenizer, file: folder.path)
                return metadata
            }
            guard let setting = Self.refused[layout.name] else {
                _ = try metadata()
                return
            }
            let found = #expect(throws: TokenizerError.self) { try metadata() }
            #expect(found?.description.contains(setting) == true, "\(found?.description ?? "")")
        }
    }
}
