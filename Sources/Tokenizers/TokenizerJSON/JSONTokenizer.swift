import Foundation
import FileFormats

/// A vocabulary from `tokenizer.json` (byte-level BPE of OLMoE, Qwen and Granite; SentencePiece-style BPE), from
/// `vocab.json` and `merges.txt`, or from a GGUF file's "gpt2" metadata: the same ids as the `tokenizers` library with
/// `encode_special_tokens` on.
///
/// Bytes that are no UTF-8 become U+FFFD first, as Python's `errors="replace"` does.
public struct JSONTokenizer: Tokenizer {
    public let kind: TokenizerKind
    public let sha256: String
    public var joinsByteTokens: Bool { true }
    public internal(set) var frame: TokenizerFrame
    let model: BytePairModel
    let added: AddedTokens
    let steps: TokenizationSteps
    /// Whether control tokens that a chat template spells stay text (`split_special_tokens`).
    let splitsSpecial: Bool
    /// Invisible when decoded.
    private let specialIDs: Set<Int32>

    /// - Parameter unused: more ids that decode to nothing.
    init(
        sha256: String, model: BytePairModel, added: AddedTokens, steps: TokenizationSteps, frame: TokenizerFrame,
        splitsSpecial: Bool = false, unused: Set<Int32> = []
    ) {
        kind =
            steps.isByteLevel ? .byteLevelBPE : steps.decoding.replacesSpaceSymbol ? .sentencePieceBPE : .bpe
        self.sha256 = sha256
        self.model = model
        self.added = added
        self.steps = steps
        self.frame = frame
        self.splitsSpecial = splitsSpecial
        specialIDs = added.specialIDs.union(unused)
    }

    public var vocabularySize: Int { model.pieces.count }

    public func encode(bytes: some Collection<UInt8>) -> [Int32] {
        encode(Array(String(decoding: bytes, as: UTF8.self).utf8), findsSpecial: false, without: [])
    }

    /// As the `tokenizers` library with `encode_special_tokens` off.
    public func encode(markup text: String, without mark: [UInt8]) -> [Int32] {
        encode(Array(text.utf8), findsSpecial: !splitsSpecial, without: mark)
    }

    public var controlTokens: [(piece: String, id: Int32)] {
        added.tokens.filter(\.isSpecial).map { (String(decoding: $0.content, as: UTF8.self), $0.id) }
    }

    private func encode(_ text: [UInt8], findsSpecial: Bool, without mark: [UInt8]) -> [Int32] {
        var ids: [Int32] = []
        var isStart = true
        for part in added.split(text, isNormalized: false, findsSpecial: findsSpecial) {
            switch part {
            case .token(let id): ids.append(id)
            case .text(let raw):
                let normalized = steps.normalize(removing(mark, from: raw))
                for part in added.split(normalized, isNormalized: true, findsSpecial: findsSpecial) {
                    switch part {
                    case .token(let id): ids.append(id)
                    case .text(let words): encode(words, isStartOfText: isStart, into: &ids)
                    }
                    isStart = false
                }
            }
            isStart = false
        }
        return ids
    }

    private func encode(_ text: [UInt8], isStartOfText: Bool, into ids: inout [Int32]) {
        let words = steps.preTokenization.reduce([text]) { $1.apply($0, isStartOfText: isStartOfText) }
        for word in words { word.withUnsafeBufferPointer { model.encode($0, into: &ids) } }
    }

    /// The bytes of the tokens; special tokens are invisible. A byte-level sequence cut within a character ends in part of
    /// it.
    public func decodeBytes(_ ids: some Collection<Int32>) -> [UInt8] {
        let decoding = steps.decoding
        var text: [UInt8] = []
        var fallback: [UInt8] = []
        func flush() {
            text += joined(fallback)
            fallback.removeAll()
        }
        for id in ids where !specialIDs.contains(id) {
            let piece = model.pieces[id]
            if decoding.hasByteFallback, let byte = Self.byteOfPiece(piece) {
                fallback.append(byte)
                continue
            }
            flush()
            if decoding.isByteLevel {
                text += ByteAlphabet.decode(String(decoding: piece, as: UTF8.self)) ?? Array(piece)
            } else if decoding.replacesSpaceSymbol {
                text += NormalizationStep.replace(spaceSymbol, with: [0x20], in: Array(piece))
            } else {
                text += piece
            }
        }
        flush()
        var stripped = 0
        while stripped < decoding.strippedSpaces, stripped < text.count, text[stripped] == 0x20 { stripped += 1 }
        return Array(text[stripped...])
    }

    private static func byteOfPiece(_ piece: UnsafeBufferPointer<UInt8>) -> UInt8? {
        guard piece.count == 6, piece.starts(with: "<0x".utf8), piece[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16)
    }

    public func piece(_ id: Int32) -> String? {
        let piece = model.pieces[id]
        return piece.isEmpty ? nil : String(decoding: piece, as: UTF8.self)
    }

    public func id(ofPiece piece: String) -> Int32? {
        let bytes = Array(piece.utf8)
        return added.tokens.first { $0.content == bytes }?.id ?? model.pieces.find(bytes)
    }
}
