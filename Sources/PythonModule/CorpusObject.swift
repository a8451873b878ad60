import CPython
import Foundation
import Synchronization
import Tracing

/// Documents that come one after the other from Python, as the module holds them.
final class GrowingCorpus: Sendable {
    private let loaded: PythonModel
    private let reader: Mutex<CorpusReader>

    init(_ loaded: PythonModel, maximumTokens: Int?) {
        self.loaded = loaded
        reader = Mutex(
            CorpusReader(tokenizer: loaded.tokenizer, config: loaded.model.config, maximumTokens: maximumTokens))
    }

    func append(_ documents: [Corpus.Document]) throws(CorpusError) {
        try reader.withLock { (reader) throws(CorpusError) in
            for document in documents { try reader.append(document) }
        }
    }

    func corpus() throws(PythonError) -> Corpus {
        let corpus = reader.withLock { $0.finish() }
        guard !corpus.documents.isEmpty else { throw .value("corpus: expected at least one document") }
        return corpus
    }
}

/// The native side of corpora that are given as objects: `_moescope.corpus(model, max_tokens or None)`.
enum CorpusObject {
    /// A document, as Python's JSON has it.
    private struct Line: Decodable {
        var id: String
        var group: String
        var text: String?
        var tokens: [Int32]?
        var parallel_id: String?
        var cluster: String?

        func document() throws(PythonError) -> Corpus.Document {
            let content: Corpus.Document.Content
            switch (text, tokens) {
            case (let text?, nil): content = .text(text)
            case (nil, let tokens?): content = .tokens(tokens)
            default: throw .value("corpus: document \"\(id)\" needs either \"text\" or \"tokens\"")
            }
            return Corpus.Document(id: id, group: group, content: content, parallelID: parallel_id, cluster: cluster)
        }
    }

    static func makeType() throws(PythonError) -> NativeType<GrowingCorpus> {
        try NativeType(
            name: "moescope._Corpus", doc: "Documents that are tokenized as they come. Use moescope.trace.",
            methods: [
                MethodEntry("append", "append(documents as JSON): tokenizes them, and keeps no text.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        let corpus = try types.corpus.payload(of: object)
                        let arguments = try Arguments(arguments, count, expected: 1...1)
                        var documents: [Corpus.Document] = []
                        for line in try FromPython.json([Line].self, try arguments[0], "corpus") {
                            documents.append(try line.document())
                        }
                        try ReleasedInterpreter.run { _ in try corpus.append(documents) }
                        return ToPython.none()
                    }
                }
            ])
    }

    static func open(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let loaded = try types.model.payload(of: try arguments[0])
        let maximum = try FromPython.optional(try arguments[1]) { (object) throws(PythonError) in
            try FromPython.int(object, "max_tokens")
        }
        if let maximum, maximum < 1 { throw .value("max_tokens: expected at least 1, found \(maximum)") }
        return try types.corpus.make(GrowingCorpus(loaded, maximumTokens: maximum)).release()
    }
}
