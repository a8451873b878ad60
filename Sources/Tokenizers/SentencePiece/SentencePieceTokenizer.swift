import Crypto
import Foundation
import FileFormats
import SwiftProtobuf

/// A SentencePiece BPE vocabulary (`tokenizer.model` of Llama, Mistral and Mixtral) with the tokens that were added to it: the
/// same ids and the same text back as the `sentencepiece` library, and between added tokens as transformers.
public struct SentencePieceTokenizer: Tokenizer {
    public enum PieceKind: UInt8, Sendable {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
    }

    public let kind = TokenizerKind.sentencePieceBPE
    public let sha256: String
    public internal(set) var frame: TokenizerFrame
    let vocabulary: SentencePieceVocabulary
    let normalizer: SentencePieceNormalizer
    /// Tokens that are found before SentencePiece sees the text; control pieces are among them.
    let added: AddedTokens
    let spacing: Spacing
    /// Whether control tokens that a chat template spells stay text (`split_special_tokens`).
    let splitsSpecial: Bool
    let hidesUnused: Bool
    public let joinsByteTokens: Bool
    /// What an unknown piece decodes to.
    let unknownSurface: [UInt8]
    let specialIDs: Set<Int32>
    /// Facts about tokens beyond SentencePiece's own pieces.
    let contentOfAdded: [Int32: [UInt8]]
    public let vocabularySize: Int

    /// Which stretches of text between added tokens get the space before a text.
    enum Spacing: String, Sendable {
        /// All: SentencePiece, llama.cpp.
        case everywhere
        /// Those that begin with none: `prepend_scheme` "always".
        case always
        /// The first, where it begins with none: `prepend_scheme` "first".
        case first
    }

    /// How a vocabulary is used, beside its pieces.
    struct Usage {
        var added: AddedTokens
        var frame: TokenizerFrame
        var spacing = Spacing.everywhere
        var splitsSpecial = false
        var unknownSurface = " \u{2047} "
        /// Whether unused pieces decode to nothing: llama.cpp; the library writes them out.
        var hidesUnused = false
        /// As `Tokenizer.joinsByteTokens`: in files made of a `tokenizer.json`, whose decoder does so.
        var joinsBytes = false
    }

    init(
        _ vocabulary: SentencePieceVocabulary, _ normalizer: SentencePieceNormalizer, _ usage: Usage, sha256: String
    ) {
        self.sha256 = sha256
        self.vocabulary = vocabulary
        self.normalizer = normalizer
        added = usage.added
        frame = usage.frame
        spacing = usage.spacing
        splitsSpecial = usage.splitsSpecial
        unknownSurface = Array(usage.unknownSurface.utf8)
        hidesUnused = usage.hidesUnused
        joinsByteTokens = usage.joinsBytes
        specialIDs = usage.added.specialIDs
        let beyond = usage.added.tokens.filter { Int($0.id) >= vocabulary.kinds.count }
        contentOfAdded = Dictionary(beyond.map { ($0.id, $0.content) }, uniquingKeysWith: { first, _ in first })
        vocabularySize = max(vocabulary.kinds.count, (beyond.map { Int($0.id) }.max() ?? -1) + 1)
    }

    public func piece(_ id: Int32) -> String? {
        guard 0..<vocabularySize ~= Int(id) else { return nil }
        guard Int(id) < vocabulary.kinds.count else {
            return contentOfAdded[id].map { String(decoding: $0, as: UTF8.self) }
        }
        return String(decoding: vocabulary.pieces[id], as: UTF8.self)
    }

    public func id(ofPiece piece: String) -> Int32? {
        let bytes = Array(piece.utf8)
        return added.tokens.first { $0.content == bytes }?.id ?? vocabulary.reserved.find(bytes)
            ?? vocabulary.pieces.find(bytes)
    }

    /// What kind of piece an id is; nil out of range.
    public func kind(of id: Int32) -> PieceKind? {
        guard 0..<vocabularySize ~= Int(id) else { return nil }
        return Int(id) < vocabulary.kinds.count
            ? vocabulary.kinds[Int(id)] : specialIDs.contains(id) ? .control : .userDefined
    }
}
