import Checkpoints
import Foundation
import MoEModel
import TestSupport
import Testing
import Tracing

/// Documents that come one after the other are those that come together.
@Suite struct CorpusReaderTests {
    private let documents: [Corpus.Document] = (0..<5).map { (index: Int) -> Corpus.Document in
        let tokens: [Int32] = [1, 2, Int32(index), 4]
        return Corpus.Document(
            id: String(index), group: index < 2 ? "a" : "b", content: .tokens(tokens),
            parallelID: index == 1 ? "p" : nil, cluster: index > 2 ? "c" : nil)
    }

    private func config() throws -> ModelConfig {
        try Checkpoint.open(Fixtures.folder.appending(path: "parity/grouped")).config
    }

    @Test func theyHaveTheSameHashAndTokens() throws {
        let config = try config()
        var reader = CorpusReader(tokenizer: nil, config: config, maximumTokens: 3)
        for document in documents { try reader.append(document) }
        let whole = Corpus(source: Corpus.inMemory, documents: documents)
        let read = reader.finish()
        #expect(read.sha256 == whole.sha256)
        #expect(read.documents.map(\.id) == whole.documents.map(\.id))
        #expect(read.documents.map(\.cluster) == whole.documents.map(\.cluster))
        let (one, other) = (
            try TokenizedCorpus(read, tokenizer: nil, config: config, maximumTokens: 3),
            try TokenizedCorpus(whole, tokenizer: nil, config: config, maximumTokens: 3)
        )
        #expect(one.tokens == other.tokens && one.tokens[4] == [1, 2, 4])
        #expect(one.truncated == other.truncated && one.truncated == [true, true, true, true, true])
    }

    @Test func whatIsNoDocumentIsRefusedWhenItComes() throws {
        var reader = CorpusReader(tokenizer: nil, config: try config())
        #expect(throws: CorpusError.self) { try reader.append(.init(id: "x", group: "", content: .tokens([]))) }
        #expect(throws: CorpusError.self) {
            try reader.append(.init(id: "x", group: "", content: .text("no tokenizer")))
        }
        #expect(reader.count == 0)
    }

    /// A file is read in pieces of 256 KiB: lines that cross their borders are whole, and the texts are let go.
    @Test func aFileIsReadLineByLine() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "corpus-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        // 300,000 bytes each, so that every line crosses a border; the last has no line end, the second is empty.
        let tokens = (0..<150_000).map { _ in "7" }.joined(separator: ",")
        let lines = ["a", "b", "c"].map { #"{"id": "\#($0)", "group": "g", "tokens": [1,\#(tokens)]}"# }
        let text = [lines[0], "", lines[1], lines[2]].joined(separator: "\n")
        try text.write(to: file, atomically: true, encoding: .utf8)
        let config = try config()
        let reader = CorpusReader(tokenizer: nil, config: config, maximumTokens: 3, source: file.path)
        let whole = try Corpus.read(file.path)
        let kept = try Corpus.read(file.path, keeping: reader.tokenized)
        #expect(whole.documents.map(\.id) == ["a", "b", "c"])
        #expect(whole.documents.allSatisfy { $0.content == .tokens([1] + [Int32](repeating: 7, count: 150_000)) })
        #expect(kept.sha256 == whole.sha256 && kept.source == whole.source)
        for document in kept.documents {
            guard case .read(let tokens, _, let isText) = document.content else {
                Issue.record("the tokens were not kept by themselves")
                continue
            }
            // One more than is kept at the end tells that the document is cut.
            #expect(tokens == [1, 7, 7, 7] && !isText)
        }
        #expect(
            throws: CorpusError(
                file: file.path, field: "text",
                reason: "document \"t\" is text, and the model has no tokenizer; give \"tokens\"")
        ) {
            try #"{"id": "t", "text": "x"}"#.write(to: file, atomically: true, encoding: .utf8)
            _ = try Corpus.read(file.path, keeping: reader.tokenized)
        }
    }
}
