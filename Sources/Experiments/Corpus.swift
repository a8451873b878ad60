import Crypto
import Foundation

/// Documents to trace, from a JSON Lines file, a folder of text files, or standard input.
public struct Corpus: Sendable {
    public struct Document: Sendable, Equatable {
        public enum Content: Sendable, Equatable {
            /// Tokenized with a BOS token put first.
            case text(String)
            /// Token ids, taken exactly as given.
            case tokens([Int32])
        }

        public var id: String
        /// The language or domain; "" where the corpus names none.
        public var group: String
        public var content: Content
        /// The same text in another group has the same parallel id.
        public var parallelID: String?

        public init(id: String, group: String, content: Content, parallelID: String? = nil) {
            self.id = id
            self.group = group
            self.content = content
            self.parallelID = parallelID
        }
    }

    /// What to call the corpus in traces: the file's or folder's name, "-" for standard input.
    public var source: String
    /// SHA-256 (hex) of the bytes read.
    public var sha256: String
    public var documents: [Document]

    public init(source: String, sha256: String, documents: [Document]) {
        self.source = source
        self.sha256 = sha256
        self.documents = documents
    }

    /// Documents given in memory; the hash is that of their JSON Lines form.
    public init(source: String, documents: [Document]) {
        var hash = SHA256()
        for document in documents {
            for part in [document.id, document.group, document.parallelID ?? ""] { hash.update(data: Data(part.utf8)) }
            switch document.content {
            case .text(let text): hash.update(data: Data(text.utf8))
            case .tokens(let tokens): hash.update(data: Data(tokens.map { "\($0)" }.joined(separator: ",").utf8))
            }
        }
        self.init(source: source, sha256: hash.finalize().hex, documents: documents)
    }

    /// Reads and checks a whole corpus before anything runs.
    ///
    /// - Parameter path: a `.jsonl` file, a folder of `.txt` files (group = subfolder), or `-` for standard input.
    /// - Throws: `CorpusError` naming file, line and field.
    public static func read(_ path: String) throws(CorpusError) -> Corpus {
        if path == "-" {
            return try parse(FileHandle.standardInput.readDataToEndOfFile(), source: "-")
        }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CorpusError(file: path, reason: "no such file or folder")
        }
        if isFolder.boolValue { return try readFolder(path) }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CorpusError(file: path, reason: "cannot be read")
        }
        return try parse(data, source: URL(filePath: path).lastPathComponent, file: path)
    }

    private static func readFolder(_ path: String) throws(CorpusError) -> Corpus {
        let root = URL(filePath: path, directoryHint: .isDirectory)
        let names = (FileManager.default.subpaths(atPath: path) ?? []).filter { $0.hasSuffix(".txt") }.sorted()
        guard !names.isEmpty else { throw CorpusError(file: path, reason: "the folder holds no .txt file") }
        var hash = SHA256()
        var documents: [Document] = []
        for name in names {
            guard let data = FileManager.default.contents(atPath: root.appending(path: name).path) else {
                throw CorpusError(file: root.appending(path: name).path, reason: "cannot be read")
            }
            guard let text = String(data: data, encoding: .utf8) else {
                throw CorpusError(file: root.appending(path: name).path, reason: "expected UTF-8 text")
            }
            hash.update(data: Data(name.utf8))
            hash.update(data: data)
            let folder = name.split(separator: "/").dropLast()
            documents.append(Document(id: name, group: folder.first.map(String.init) ?? "", content: .text(text)))
        }
        return Corpus(source: root.lastPathComponent, sha256: hash.finalize().hex, documents: documents)
    }

    /// A line of a JSON Lines corpus as it is written.
    private struct Line: Decodable {
        var id: Identifier?
        var group: String?
        var text: String?
        var tokens: [Int32]?
        var parallel_id: Identifier?

        /// Ids are strings; numbers are taken as their decimal form.
        enum Identifier: Decodable {
            case text(String)

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let number = try? container.decode(Int64.self) {
                    self = .text(String(number))
                } else {
                    self = .text(try container.decode(String.self))
                }
            }

            var string: String {
                switch self {
                case .text(let text): text
                }
            }
        }
    }

    static func parse(_ data: Data, source: String, file: String? = nil) throws(CorpusError) -> Corpus {
        let file = file ?? "standard input"
        let decoder = JSONDecoder()
        var documents: [Document] = []
        var lineNumber = 0
        for bytes in data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            lineNumber += 1
            if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
            let line: Line
            do {
                line = try decoder.decode(Line.self, from: Data(bytes))
            } catch {
                throw CorpusError(file: file, line: lineNumber, reason: describe(error))
            }
            documents.append(try document(line, file: file, lineNumber: lineNumber))
        }
        guard !documents.isEmpty else { throw CorpusError(file: file, reason: "the corpus holds no document") }
        return Corpus(source: source, sha256: SHA256.hash(data: data).hex, documents: documents)
    }

    private static func document(_ line: Line, file: String, lineNumber: Int) throws(CorpusError) -> Document {
        let content: Document.Content
        switch (line.text, line.tokens) {
        case (let text?, nil): content = .text(text)
        case (nil, let tokens?):
            guard !tokens.isEmpty else {
                throw CorpusError(file: file, line: lineNumber, field: "tokens", reason: "expected at least one token")
            }
            content = .tokens(tokens)
        case (nil, nil):
            throw CorpusError(
                file: file, line: lineNumber, field: "text", reason: "expected \"text\" or \"tokens\", found neither")
        case (_?, _?):
            throw CorpusError(
                file: file, line: lineNumber, field: "tokens", reason: "expected \"text\" or \"tokens\", found both")
        }
        return Document(
            id: line.id?.string ?? String(lineNumber), group: line.group ?? "", content: content,
            parallelID: line.parallel_id?.string)
    }

    private static func describe(_ error: any Error) -> String {
        switch error {
        case DecodingError.typeMismatch(_, let context) where context.codingPath.isEmpty:
            "expected a JSON object {\"id\", \"group\", \"text\"}, found another JSON value"
        case DecodingError.typeMismatch(let type, let context), DecodingError.valueNotFound(let type, let context):
            "field \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\": expected \(type)"
        case DecodingError.dataCorrupted(let context):
            context.codingPath.isEmpty
                ? "expected a JSON object {\"id\", \"group\", \"text\"}, found something that is no JSON"
                : "field \"\(context.codingPath.map(\.stringValue).joined(separator: "."))\": \(context.debugDescription)"
        default: "\(error)"
        }
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

extension Digest {
    var hex: String { map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined() }
}
