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
    /// Puts the vocabulary beside the manifest; the same bytes for the same pieces, so that it may be written again.
    public func writeVocabulary(_ vocabulary: TraceVocabulary) throws(FileError) {
        let url = folder.file(TraceVocabulary.fileName)
        try folder.write(try TraceCoding.compact(vocabulary, file: url.path), to: url)
    }
}

extension Trace {
    /// The piece of every token id; nil where the trace has none.
    public func vocabulary() throws(FileError) -> TraceVocabulary? {
        let url = folder.file(TraceVocabulary.fileName)
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        let vocabulary = try TraceCoding.decode(
            TraceVocabulary.self, from: try folder.contents(url, hint: "trace again"), file: url.path)
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
