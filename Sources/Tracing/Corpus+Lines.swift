import Crypto
import Foundation
import FileFormats

extension Corpus {
    /// Reads a JSON Lines corpus: one object a line, with "id", "group", "parallel_id", "cluster", and "text" or
    /// "tokens". One line is held at a time.
    ///
    /// JSON is taken as Python's json module writes it, NaN and halves of surrogate pairs included; a key that appears twice is an
    /// error. Other keys are allowed and not looked at.
    static func readLines(
        _ path: String, source: String, keeping: (Document) throws(CorpusError) -> Document
    ) throws(CorpusError) -> Corpus {
        var lines = CorpusLines(file: path == "-" ? "standard input" : path)
        try InputFile.read(path) { (piece) throws(CorpusError) in try lines.append(piece, keeping: keeping) }
        return try lines.finish(source: source, keeping: keeping)
    }
}

extension Corpus {
    /// Names of fields and columns that often hold what a group is, the likeliest first.
    public static let groupLikeFields = [
        "lang", "language", "locale", "label", "category", "domain", "source", "subset", "topic",
    ]
}

/// Lines of a corpus that come in pieces.
private struct CorpusLines {
    let file: String
    private var documents: [Corpus.Document] = []
    private var candidates = GroupCandidates()
    private var hash = SHA256()
    private var number = 0
    /// The beginning of a line whose end has not come.
    private var begun: [UInt8] = []

    init(file: String) { self.file = file }

    mutating func append(
        _ piece: UnsafeRawBufferPointer, keeping: (Corpus.Document) throws(CorpusError) -> Corpus.Document
    ) throws(CorpusError) {
        hash.update(bufferPointer: piece)
        var start = 0
        while let end = piece[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let rest = UnsafeRawBufferPointer(rebasing: piece[start..<end])
            if begun.isEmpty {
                try take(rest, keeping)
            } else {
                begun.append(contentsOf: rest)
                try takeBegun(keeping)
            }
            start = end + 1
        }
        begun.append(contentsOf: piece[start...])
    }

    mutating func finish(
        source: String, keeping: (Corpus.Document) throws(CorpusError) -> Corpus.Document
    ) throws(CorpusError) -> Corpus {
        if !begun.isEmpty { try takeBegun(keeping) }
        guard !documents.isEmpty else { throw CorpusError(file: file, reason: "the corpus holds no document") }
        var corpus = Corpus(source: source, sha256: hash.finalize().hex, documents: documents)
        corpus.remarks = candidates.remark(for: documents).map { ["\(file): \($0)"] } ?? []
        return corpus
    }

    private mutating func takeBegun(
        _ keeping: (Corpus.Document) throws(CorpusError) -> Corpus.Document
    ) throws(CorpusError) {
        let line = begun
        begun.removeAll(keepingCapacity: true)
        let taken = line.withUnsafeBytes { bytes in
            Result { () throws(CorpusError) in try take(bytes, keeping) }
        }
        try taken.get()
    }

    private mutating func take(
        _ bytes: UnsafeRawBufferPointer, _ keeping: (Corpus.Document) throws(CorpusError) -> Corpus.Document
    ) throws(CorpusError) {
        number += 1
        let mark = number == 1 && bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        let line = UnsafeRawBufferPointer(rebasing: bytes[mark...])
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { return }
        let parsed = try CorpusLine(line, file: file, number: number)
        candidates.add(parsed.object)
        documents.append(try keeping(try parsed.document()))
    }
}

/// Fields of the lines that look like groups and are not called so.
private struct GroupCandidates {
    private static var names: [String] { Corpus.groupLikeFields }
    /// Different values of each; beyond some, a field names documents and not groups.
    private var values: [String: Set<String>] = [:]
    private static let mostValues = 1024

    mutating func add(_ line: JSONObject) {
        for name in Self.names {
            guard let json = line[name], let value = json.string ?? json.int.map(String.init) else { continue }
            if values[name, default: []].count <= Self.mostValues { values[name, default: []].insert(value) }
        }
    }

    /// What to say where all documents are of one group, and a field would tell several.
    func remark(for documents: [Corpus.Document]) -> String? {
        guard let first = documents.first, documents.allSatisfy({ $0.group == first.group }) else { return nil }
        guard
            let name = Self.names.first(where: { (2...Self.mostValues).contains(values[$0]?.count ?? 0) }),
            let found = values[name]
        else { return nil }
        let shown = found.sorted().prefix(3).joined(separator: ", ") + (found.count > 3 ? ", …" : "")
        return
            "all documents are of one group, and the field \"\(name)\" has \(found.count) values (\(shown)): call it \"group\" to compare them"
    }
}

/// One line of a JSON Lines corpus.
private struct CorpusLine {
    let object: JSONObject
    let file: String
    let number: Int

    init(_ bytes: UnsafeRawBufferPointer, file: String, number: Int) throws(CorpusError) {
        self.file = file
        self.number = number
        let json: JSON
        do throws(JSONSyntaxError) {
            json = try JSON.parse(bytes, allowsLongMarks: true)
        } catch {
            throw CorpusError(
                file: file, line: number,
                reason: "expected a JSON object {\"id\", \"group\", \"text\"}, found no valid JSON: \(error)")
        }
        guard let object = json.object else {
            throw CorpusError(
                file: file, line: number,
                reason: "expected a JSON object {\"id\", \"group\", \"text\"}, found \(json.kindDescription)")
        }
        self.object = object
    }

    func document() throws(CorpusError) -> Corpus.Document {
        let text = try value("text", expected: "a string", \.string)
        let content: Corpus.Document.Content
        switch (text, try tokens()) {
        case (let text?, nil): content = .text(text)
        case (nil, let tokens?): content = .tokens(tokens)
        case (nil, nil): throw error("text", "expected \"text\" or \"tokens\", found neither")
        case (_?, _?): throw error("tokens", "expected \"text\" or \"tokens\", found both")
        }
        return Corpus.Document(
            id: try identifier("id") ?? String(number),
            group: try safe(try value("group", expected: "a string", \.string), "group") ?? "",
            content: content, parallelID: try identifier("parallel_id"), cluster: try identifier("cluster"))
    }

    private func error(_ field: String, _ reason: String) -> CorpusError {
        CorpusError(file: file, line: number, field: field, reason: reason)
    }

    /// nil where the field is absent or null.
    private func value<Value>(
        _ field: String, expected: String, _ convert: (JSON) -> Value?
    ) throws(CorpusError) -> Value? {
        guard let json = object[field], !json.isNull else { return nil }
        guard let value = convert(json) else {
            throw error(field, "expected \(expected), found \(json.kindDescription)")
        }
        return value
    }

    /// Ids are strings; integers are taken as their decimal form.
    private func identifier(_ field: String) throws(CorpusError) -> String? {
        try safe(try value(field, expected: "a string or an integer") { $0.string ?? $0.int.map(String.init) }, field)
    }

    /// A text that things are looked up by.
    private func safe(_ text: String?, _ field: String) throws(CorpusError) -> String? {
        guard let text, !StreamSafety.isSafe(text) else { return text }
        throw error(field, StreamSafety.problem)
    }

    private func tokens() throws(CorpusError) -> [Int32]? {
        guard let items = try value("tokens", expected: "an array of token ids", \.array) else { return nil }
        guard !items.isEmpty else { throw error("tokens", "expected at least one token") }
        var tokens: [Int32] = []
        tokens.reserveCapacity(items.count)
        for (place, item) in items.enumerated() {
            guard let id = item.int.flatMap(Int32.init(exactly:)), id >= 0 else {
                throw error(
                    "tokens",
                    "expected token ids, integers from 0 to \(Int32.max), found \(item.kindDescription) at place \(place)"
                )
            }
            tokens.append(id)
        }
        return tokens
    }
}
