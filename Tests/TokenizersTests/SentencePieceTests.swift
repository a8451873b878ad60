import Crypto
import FileFormats
import Foundation
import TestSupport
import Testing
import Tokenizers

/// What `Tests/Fixtures/sentencepiece/make.py` wrote down of one model.
struct SentencePieceReference: Decodable {
    struct Case: Decodable {
        let hex: String
        let ids: [Int32]
        let decoded: String
    }
    struct Sequence: Decodable {
        let ids: [Int32]
        let decoded: String
    }

    let sha256: String
    let size: Int
    let bos: Int32
    let eos: Int32
    let pieces: [String: String]
    let cases: [Case]
    let sequences: [Sequence]
    let random: [String]
    let big: [String: String]
    let corpus: [String]?

    init(_ name: String) throws {
        let url = Fixtures.folder.appending(path: "sentencepiece/cases-\(name).json")
        self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: url))
    }
}

/// The models the references are of; Mixtral's comes with PyPI's `mistral-common`, which `make test` installs.
enum SentencePieceModel: String, CaseIterable, CustomTestStringConvertible {
    case identity, nfkc, suffix, polyglot, mixtral

    var testDescription: String { rawValue }

    var url: URL? {
        switch self {
        case .identity, .nfkc, .suffix: Fixtures.folder.appending(path: "sentencepiece/\(rawValue).model")
        case .polyglot: Fixtures.polyglot.appending(path: "tokenizer.model")
        case .mixtral: PythonPackages.file("mistral_common/data/tokenizer.model.v1")
        }
    }

    static var present: [SentencePieceModel] { allCases.filter { $0.url != nil } }

    func load() throws -> SentencePieceTokenizer { try SentencePieceTokenizer(#require(url)) }
}

@Suite struct SentencePieceTests {
    @Test(arguments: SentencePieceModel.present)
    func vocabulary(_ model: SentencePieceModel) throws {
        let reference = try SentencePieceReference(model.rawValue)
        let tokenizer = try model.load()
        #expect(tokenizer.sha256 == reference.sha256)
        #expect(tokenizer.vocabularySize == reference.size)
        #expect(tokenizer.bos == reference.bos)
        #expect(tokenizer.eos == reference.eos)
        for (id, piece) in reference.pieces {
            let id = try #require(Int32(id))
            #expect(tokenizer.piece(id) == piece)
            #expect(tokenizer.id(ofPiece: piece) == id)
        }
        #expect(tokenizer.piece(-1) == nil)
        #expect(tokenizer.piece(Int32(reference.size)) == nil)
        #expect(tokenizer.id(ofPiece: "no such piece") == nil)
    }

    @Test(arguments: SentencePieceModel.present)
    func hostileStrings(_ model: SentencePieceModel) throws {
        let tokenizer = try model.load()
        for item in try SentencePieceReference(model.rawValue).cases {
            #expect(tokenizer.encode(bytes: unhex(item.hex)) == item.ids, "text \(item.hex)")
            #expect(hex(tokenizer.decodeBytes(item.ids)) == item.decoded, "text \(item.hex)")
        }
    }

    @Test(arguments: SentencePieceModel.present)
    func decodingAnySequence(_ model: SentencePieceModel) throws {
        let tokenizer = try model.load()
        for item in try SentencePieceReference(model.rawValue).sequences {
            #expect(hex(tokenizer.decodeBytes(item.ids)) == item.decoded, "ids \(item.ids)")
        }
    }

    /// 10,000 strings, compared by the hash of the ids of a thousand at a time.
    @Test(arguments: SentencePieceModel.present)
    func randomStrings(_ model: SentencePieceModel) throws {
        let tokenizer = try model.load()
        var generator = SplitMix64(state: 20)
        for (block, expected) in try SentencePieceReference(model.rawValue).random.enumerated() {
            var ids: [Int32] = []
            for _ in 0..<1000 { ids += tokenizer.encode(RandomText.next(&generator)) + [-1] }
            #expect(digest(ids) == expected, "block \(block)")
        }
    }

    @Test(arguments: SentencePieceModel.present)
    func textsOfAMegabyte(_ model: SentencePieceModel) throws {
        let tokenizer = try model.load()
        let reference = try SentencePieceReference(model.rawValue)
        var generator = SplitMix64(state: 7)
        let texts = [
            "letters": (0..<1 << 20).map { _ in UInt8(97 + generator.below(26)) },
            "one letter": [UInt8](repeating: 97, count: 1 << 20),
            "one kanji": Array(String(repeating: "漢", count: 1 << 18).utf8),
        ]
        for (name, text) in texts {
            #expect(digest(tokenizer.encode(bytes: text)) == reference.big[name], "\(name)")
        }
    }

    /// The built-in model's two vocabulary files make the same tokens.
    @Test(arguments: ["tokenizer.model", "tokenizer.json"])
    func everyDocumentOfTheCorpus(_ file: String) throws {
        struct Document: Decodable { let text: String }
        let tokenizer = try TokenizerFile.open(Fixtures.polyglot.appending(path: file))
        let expected = try #require(try SentencePieceReference("polyglot").corpus)
        let corpus = try Data(contentsOf: Fixtures.polyglot.appending(path: "heldout.jsonl"))
        let lines = corpus.split(separator: UInt8(ascii: "\n"))
        #expect(lines.count == expected.count)
        for (line, hash) in zip(lines, expected) {
            let text = try JSONDecoder().decode(Document.self, from: line).text
            let ids = tokenizer.encode(text)
            #expect(digest(ids) == hash, "\(text.prefix(60))")
            #expect(Array(tokenizer.decodeBytes(ids)) == Array(text.utf8))
        }
    }

    @Test func textNeverBecomesAControlToken() throws {
        let tokenizer = try SentencePieceModel.identity.load()
        for text in ["<s>", "</s>", "<unk>", "<cmd>", "a<s>b</s>"] {
            for id in tokenizer.encode(text) { #expect(tokenizer.kind(of: id) != .control, "\(text)") }
        }
        let user = try #require(tokenizer.id(ofPiece: "<sep>"))
        #expect(tokenizer.encode("<sep>").contains(user))
    }

    @Test func filesThatAreNoModel() throws {
        let nowhere = #expect(throws: TokenizerError.self) {
            try SentencePieceTokenizer(URL(filePath: "/nowhere/tokenizer.model"))
        }
        #expect(nowhere?.description == "/nowhere/tokenizer.model: cannot be read: no such file")
        let noise = #expect(throws: TokenizerError.self) {
            try SentencePieceTokenizer(data: Data([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]), file: "x")
        }
        #expect(noise?.problem == "not a SentencePiece model")
        // An empty message: no pieces, and a model type that is not BPE.
        let empty = #expect(throws: TokenizerError.self) { try SentencePieceTokenizer(data: Data(), file: "x") }
        #expect(empty?.subject == "field trainer_spec.model_type")
        // A whole model cut short at every length never crashes.
        let model = try Data(contentsOf: Fixtures.folder.appending(path: "sentencepiece/suffix.model"))
        for length in stride(from: 0, to: model.count, by: 97) {
            _ = try? SentencePieceTokenizer(data: model.prefix(length), file: "x")
        }
    }
}
