import CPython
import Foundation
import Tracing

/// A corpus as Python gives it: a path, or documents in memory as JSON.
struct CorpusArgument {
    private let path: String?
    private let documents: [Corpus.Document]

    private struct InMemoryDocument: Decodable {
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

    /// - Parameters:
    ///   - path: a str, or None where documents are given.
    ///   - documents: a str of JSON, looked at where there is no path.
    /// - Throws: FileNotFoundError, or ValueError naming the document that is wrong.
    init(path: PythonObject, documents: PythonObject) throws(PythonError) {
        self.path = try FromPython.optional(path) { (object) throws(PythonError) in
            try FromPython.string(object, "corpus")
        }
        var given: [Corpus.Document] = []
        if self.path == nil {
            for document in try FromPython.json([InMemoryDocument].self, documents, "corpus") {
                given.append(try document.document())
            }
            guard !given.isEmpty else { throw .value("corpus: expected at least one document") }
        }
        self.documents = given
        if let path = self.path, path != "-", !FileManager.default.fileExists(atPath: path) {
            throw .fileNotFound("\(path): no such file or folder")
        }
    }

    /// Reads the file or folder, where one is named.
    func read() throws -> Corpus {
        try path.map { try Corpus.read($0) } ?? Corpus(source: "python", documents: documents)
    }
}
