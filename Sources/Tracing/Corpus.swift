import Crypto
import FileFormats
import Foundation

/// Documents to trace, from a JSON Lines file, a folder of text files, a pipe, or standard input.
public struct Corpus: Sendable {
    public struct Document: Sendable, Equatable {
        public enum Content: Sendable, Equatable {
            /// Tokenized, with what the tokenizer puts around every text: a BOS token first, for most models.
            case text(String)
            /// Token ids, taken exactly as given.
            case tokens([Int32])
            /// A document that was tokenized and let go (`CorpusReader`): its first tokens, the SHA-256 (hex) of what it was, and
            /// whether that was a text.
            case read(tokens: [Int32], sha256: String, isText: Bool)

            var isText: Bool {
                switch self {
                case .text, .read(_, _, isText: true): true
                case .tokens, .read: false
                }
            }
        }

        public var id: String
        /// The language or domain; "" where the corpus names none.
        public var group: String
        public var content: Content
        /// The same text in another group has the same parallel id.
        public var parallelID: String?
        /// The source, manual or author that the text comes from: documents of one cluster are not independent of each other.
        public var cluster: String?

        public init(
            id: String, group: String, content: Content, parallelID: String? = nil, cluster: String? = nil
        ) {
            self.id = id
            self.group = group
            self.content = content
            self.parallelID = parallelID
            self.cluster = cluster
        }
    }

    /// What to call the corpus in traces: the file's or folder's name, "-" for standard input.
    public var source: String
    /// SHA-256 (hex) of the bytes read, uncompressed.
    public var sha256: String
    public var documents: [Document]
    /// What a person should know of how the corpus was read, in sentences: what was left out of a folder.
    public var remarks: [String] = []

    public init(source: String, sha256: String, documents: [Document]) {
        self.source = source
        self.sha256 = sha256
        self.documents = documents
    }

    /// Documents given in memory; the hash is that of their JSON Lines form.
    public init(source: String, documents: [Document]) {
        var hash = SHA256()
        for document in documents { document.hash(into: &hash) }
        self.init(source: source, sha256: hash.finalize().hex, documents: documents)
    }

    /// Reads and checks a whole corpus before anything runs.
    ///
    /// - Parameters:
    ///   - path: a JSON Lines file, a folder of text files (see `readFolder`), or `-` for standard input. A file may be a pipe, and may
    ///     be compressed with gzip. It is read as a stream.
    ///   - keeping: what is kept of a document: all of it, or its tokens only (`CorpusReader.tokenized`).
    /// - Throws: `CorpusError` naming file, line and field.
    public static func read(
        _ path: String,
        keeping: (Document) throws(CorpusError) -> Document = { (document) throws(CorpusError) in document }
    ) throws(CorpusError) -> Corpus {
        if path == "-" { return try readLines(path, source: "-", keeping: keeping) }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CorpusError(file: path, reason: "no such file or folder")
        }
        if isFolder.boolValue { return try readFolder(path, keeping: keeping) }
        return try readLines(path, source: URL(filePath: path).lastPathComponent, keeping: keeping)
    }
}

/// Why a corpus cannot be read.
public struct CorpusError: Error, Equatable, CustomStringConvertible {
    public var file: String
    public var line: Int?
    public var field: String?
    public var reason: String

    public init(file: String, line: Int? = nil, field: String? = nil, reason: String) {
        self.file = file
        self.line = line
        self.field = field
        self.reason = reason
    }

    public var description: String {
        file + (line.map { ", line \($0)" } ?? "") + (field.map { ", field \"\($0)\"" } ?? "") + ": " + reason
    }
}
