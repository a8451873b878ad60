import Crypto
import FileFormats
import Foundation

/// `vocabulary.json`: the piece of every token id, so that what a trace shows needs neither model nor tokenizer. Optional.
public struct TraceVocabulary: Codable, Sendable, Equatable {
    /// Always "moescope-vocabulary".
    public var format = TraceVocabulary.formatName
    /// By token id, as the tokenizer writes them ("▁Der", "<0x0A>"); nil where an id has no piece.
    public var pieces: [String?]
    /// A `TokenizerKind`: how the pieces are written. nil in older traces, where the manifest's tokenizer says it.
    public var kind: String?

    public static let formatName = "moescope-vocabulary"
    static let fileName = "vocabulary.json"

    public init(pieces: [String?], kind: TokenizerKind) {
        self.pieces = pieces
        self.kind = kind.rawValue
    }
}

extension TraceWriter {
    /// Puts the vocabulary beside the manifest, and its hash into it. Where the same is there already, and in a complete trace,
    /// nothing changes.
    public func writeVocabulary(_ vocabulary: TraceVocabulary) throws(FileError) {
        guard !isComplete else { return }
        let url = folder.file(TraceVocabulary.fileName)
        let data = try TraceCoding.compact(vocabulary, file: url.path)
        let recorded = TraceManifest.RecordedFile(data)
        if manifest.files?[TraceVocabulary.fileName] == recorded, (try? Data(contentsOf: url)) == data { return }
        try folder.write(data, to: url)
        try record(recorded, as: TraceVocabulary.fileName)
    }
}

extension TraceManifest.RecordedFile {
    init(_ data: Data) { self.init(bytes: data.count, sha256: SHA256.hash(data: data).hex) }
}

extension Trace {
    /// The piece of every token id; nil where the trace has none.
    /// - Throws: also `mismatch` where the file is not the one that was written.
    public func vocabulary() throws(FileError) -> TraceVocabulary? {
        let url = folder.file(TraceVocabulary.fileName)
        let recorded = manifest.files?[TraceVocabulary.fileName]
        guard recorded != nil || FileManager.default.fileExists(atPath: url.path) else { return nil }
        let data = try folder.contents(url, hint: "trace again")
        let vocabulary = try TraceCoding.decode(TraceVocabulary.self, from: data, file: url.path, allowsLongMarks: true)
        if let recorded, let problem = recorded.problem(data, file: url.path) { throw problem }
        guard vocabulary.format == TraceVocabulary.formatName else {
            throw FileError.trace(
                .malformed, file: url.path, field: "field format", expected: "\"\(TraceVocabulary.formatName)\"",
                found: "\"\(vocabulary.format)\"")
        }
        return vocabulary
    }

    /// What tokens say to a reader; nil where the trace has no vocabulary.
    public func tokenText() throws(FileError) -> TokenText? {
        try vocabulary().map {
            TokenText(pieces: $0.pieces, kind: TokenizerKind(named: $0.kind ?? manifest.tokenizer.kind))
        }
    }
}
