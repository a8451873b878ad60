import Crypto
import Foundation
import FileFormats
import SwiftProtobuf

/// A SentencePiece BPE vocabulary (`tokenizer.model` of Llama, Mistral and Mixtral): the same ids and the same text
/// back as the `sentencepiece` library.
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
    public let bos: Int32?
    public let eos: Int32?
    let vocabulary: SentencePieceVocabulary
    let normalizer: SentencePieceNormalizer
    /// What an unknown piece decodes to.
    let unknownSurface: [UInt8]

    public var vocabularySize: Int { vocabulary.kinds.count }

    /// Reads a `tokenizer.model` file.
    public init(_ url: URL) throws(TokenizerError) {
        let data: Data
        do { data = try Data(contentsOf: url) } catch {
            throw TokenizerError(file: url.path, problem: "cannot be read")
        }
        try self.init(data: data, file: url.path)
    }

    /// - Parameter file: what errors call it.
    public init(data: Data, file: String) throws(TokenizerError) {
        let model: ProtoSentencePieceModel
        do { model = try ProtoSentencePieceModel(serializedBytes: data) } catch {
            throw TokenizerError(file: file, problem: "not a SentencePiece model")
        }
        guard model.trainerSpec.modelType == .bpe else {
            throw TokenizerError(
                file: file, subject: "field trainer_spec.model_type",
                problem: "expected BPE, found \(model.trainerSpec.modelType)",
                hint: "only BPE vocabularies are read")
        }
        guard model.denormalizerSpec.precompiledCharsmap.isEmpty else {
            throw TokenizerError(
                file: file, subject: "field denormalizer_spec", problem: "rules for decoding are not supported")
        }
        let pieces = model.pieces.map {
            SentencePieceVocabulary.Entry(
                piece: Array($0.piece.utf8), score: $0.score,
                kind: PieceKind(rawValue: UInt8($0.type.rawValue)) ?? .normal)
        }
        let trainer = model.trainerSpec
        let rules = model.normalizerSpec
        var characterMap: CharacterMap?
        if !rules.precompiledCharsmap.isEmpty {
            guard let map = CharacterMap(Array(rules.precompiledCharsmap)) else {
                throw TokenizerError(
                    file: file, subject: "field normalizer_spec.precompiled_charsmap", problem: "sizes do not fit")
            }
            characterMap = map
        }
        try self.init(
            entries: pieces, file: file,
            sha256: SHA256.hash(data: data).map { String($0, radix: 16).leftPadded(to: 2) }.joined(),
            byteFallback: trainer.byteFallback, unknownPiece: trainer.unkPiece, bosPiece: trainer.bosPiece,
            eosPiece: trainer.eosPiece, unknownSurface: trainer.unkSurface
        ) { userDefined in
            SentencePieceNormalizer(
                characterMap: characterMap, userDefined: userDefined, addsDummyPrefix: rules.addDummyPrefix,
                removesExtraWhitespace: rules.removeExtraWhitespaces, escapesWhitespace: rules.escapeWhitespaces,
                treatsWhitespaceAsSuffix: trainer.treatWhitespaceAsSuffix)
        }
    }

    init(
        entries: [SentencePieceVocabulary.Entry], file: String, sha256: String, byteFallback: Bool,
        unknownPiece: String, bosPiece: String, eosPiece: String, unknownSurface: String,
        normalizer: (PrefixMatcher) -> SentencePieceNormalizer
    ) throws(TokenizerError) {
        let vocabulary = try SentencePieceVocabulary(
            entries, unknownPiece: unknownPiece, byteFallback: byteFallback, file: file)
        self.vocabulary = vocabulary
        self.normalizer = normalizer(vocabulary.userDefined)
        self.sha256 = sha256
        self.unknownSurface = Array(unknownSurface.utf8)
        func control(_ piece: String) -> Int32? {
            vocabulary.reserved.find(Array(piece.utf8)).flatMap { vocabulary.kinds[Int($0)] == .control ? $0 : nil }
        }
        bos = control(bosPiece)
        eos = control(eosPiece)
    }

    public func piece(_ id: Int32) -> String? {
        guard 0..<vocabularySize ~= Int(id) else { return nil }
        return String(decoding: vocabulary.pieces[id], as: UTF8.self)
    }

    public func id(ofPiece piece: String) -> Int32? {
        let bytes = Array(piece.utf8)
        return vocabulary.reserved.find(bytes) ?? vocabulary.pieces.find(bytes)
    }

    /// What kind of piece an id is; nil out of range.
    public func kind(of id: Int32) -> PieceKind? {
        0..<vocabularySize ~= Int(id) ? vocabulary.kinds[Int(id)] : nil
    }
}

extension String {
    fileprivate func leftPadded(to width: Int) -> String {
        String(repeating: "0", count: max(0, width - count)) + self
    }
}
