import CPython
import Foundation
import Tracing

/// A corpus as Python gives it: a path, or documents that were read before.
enum CorpusArgument {
    case path(String)
    case documents(Corpus)

    /// - Parameters:
    ///   - path: a str, or None where documents are given.
    ///   - documents: what `_moescope.corpus` made, looked at where there is no path.
    /// - Throws: FileNotFoundError, or ValueError where there is no document.
    init(path: PythonObject, documents: PythonObject) throws(PythonError) {
        let named = try FromPython.optional(path) { (object) throws(PythonError) in
            try FromPython.string(object, "corpus")
        }
        guard let named else {
            self = .documents(try types.corpus.payload(of: documents).corpus())
            return
        }
        guard named == "-" || FileManager.default.fileExists(atPath: named) else {
            throw .fileNotFound("\(named): no such file or folder")
        }
        self = .path(named)
    }

    /// Reads the file or folder, where one is named, and keeps the tokens of its documents.
    func read(_ loaded: LoadedModel, maximumTokens: Int?) throws -> Corpus {
        switch self {
        case .path(let path): try loaded.corpus(path, maximumTokens: maximumTokens)
        case .documents(let corpus): corpus
        }
    }
}
