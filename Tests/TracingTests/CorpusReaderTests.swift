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
}
