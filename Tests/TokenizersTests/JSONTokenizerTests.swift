import Foundation
import TestSupport
import Testing
import Tokenizers

/// What `Tests/Fixtures/tokenizers/make.py` wrote down of one tokenizer.json.
struct JSONTokenizerReference: Decodable {
    struct Case: Decodable {
        let text: String
        let ids: [Int32]
        let decoded: String
    }
    struct Sequence: Decodable {
        let ids: [Int32]
        let decoded: String
    }

    let size: Int
    let cases: [Case]
    let sequences: [Sequence]
    let random: [String]
    let letters: String

    static let folder = Fixtures.folder.appending(path: "tokenizers")

    init(_ name: String) throws {
        self = try JSONDecoder().decode(
            Self.self, from: Data(contentsOf: Self.folder.appending(path: "cases-\(name).json")))
    }

    static func tokenizer(_ name: String) throws -> any Tokenizer {
        let folder = name == "polyglot" ? Fixtures.polyglot : folder
        return try TokenizerFile.open(folder.appending(path: name == "polyglot" ? "tokenizer.json" : "\(name).json"))
    }
}

@Suite struct JSONTokenizerTests {
    static let names = ["olmo", "qwen", "llama3", "o200k", "granite", "prefixed", "prepend", "metaspace", "polyglot"]

    @Test(arguments: names)
    func hostileStrings(_ name: String) throws {
        let tokenizer = try JSONTokenizerReference.tokenizer(name)
        let reference = try JSONTokenizerReference(name)
        #expect(tokenizer.vocabularySize == reference.size)
        for item in reference.cases {
            #expect(tokenizer.encode(item.text) == item.ids, "text \(item.text.debugDescription)")
            #expect(same(tokenizer.decode(item.ids), item.decoded), "text \(item.text.debugDescription)")
        }
    }

    @Test(arguments: names)
    func decodingAnySequence(_ name: String) throws {
        let tokenizer = try JSONTokenizerReference.tokenizer(name)
        for item in try JSONTokenizerReference(name).sequences {
            #expect(same(tokenizer.decode(item.ids), item.decoded), "ids \(item.ids)")
        }
    }

    @Test(arguments: names)
    func randomStrings(_ name: String) throws {
        let tokenizer = try JSONTokenizerReference.tokenizer(name)
        var generator = SplitMix64(state: 20)
        for (block, expected) in try JSONTokenizerReference(name).random.enumerated() {
            var ids: [Int32] = []
            for _ in 0..<1000 { ids += tokenizer.encode(RandomText.next(&generator)) + [-1] }
            #expect(digest(ids) == expected, "block \(block)")
        }
    }

    /// A vocabulary out of GGUF metadata gives the ids of the tokenizer.json it was made from.
    @Test func ggufVocabulary() throws {
        let tokenizer = try TokenizerFile.open(JSONTokenizerReference.folder.appending(path: "granite.gguf"))
        #expect(tokenizer.kind == .byteLevelBPE)
        #expect(tokenizer.eos.flatMap(tokenizer.piece) == "<|endoftext|>")
        let json = try JSONTokenizerReference.tokenizer("granite")
        var generator = SplitMix64(state: 99)
        for _ in 0..<10_000 {
            let text = RandomText.next(&generator)
            #expect(tokenizer.encode(text) == json.encode(text))
        }
    }

    @Test func specialTokensAreNeverText() throws {
        let tokenizer = try JSONTokenizerReference.tokenizer("qwen")
        let special = try #require(tokenizer.id(ofPiece: "<|im_start|>"))
        #expect(!tokenizer.encode("a<|im_start|>b").contains(special))
        let tool = try #require(tokenizer.id(ofPiece: "<tool>"))
        #expect(tokenizer.encode("a<tool>b").contains(tool))
    }

    @Test(arguments: [
        ("{", "byte 1"), ("{}", "model"), (#"{"model": {"type": "Unigram"}}"#, "model.type"),
        (#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}"#, "merge 0"),
        (#"{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}"#, "model.vocab"),
        (#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["abc"]}}"#, "model.merges[0]"),
        (#"{"model": {"vocab": {}, "merges": []}, "normalizer": {"type": "NFKC"}}"#, "normalizer.type"),
        (
            #"{"model": {"vocab": {}, "merges": []}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "x"}}}"#,
            "pre_tokenizer.behavior"
        ),
    ])
    func filesThatAreNoTokenizer(_ text: String, _ expected: String) throws {
        let found = #expect(throws: TokenizerError.self) {
            try JSONTokenizer(data: Data(text.utf8), settings: nil, file: "x")
        }
        #expect(found?.description.contains(expected) == true, "\(found?.description ?? "")")
    }

    /// Byte equality: Swift's `String` would call canonically equivalent texts equal.
    private func same(_ first: String, _ second: String) -> Bool { Array(first.utf8) == Array(second.utf8) }
}
