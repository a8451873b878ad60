import Crypto
import Foundation
import SwiftProtobuf

extension SentencePieceTokenizer {
    /// Reads a `tokenizer.model` file, and what lies beside it (see `TokenizerSettings`).
    public init(_ url: URL) throws(TokenizerError) {
        let settings = try TokenizerSettings(folder: url.deletingLastPathComponent(), addedInVocabulary: [])
        try self.init(try TokenizerFile.contents(url), settings, file: url.path)
    }

    /// The file alone.
    /// - Parameter file: what errors call it.
    public init(data: Data, file: String) throws(TokenizerError) {
        try self.init(data, TokenizerSettings(config: nil, file: file, addedInVocabulary: []), file: file)
    }

    private init(_ data: Data, _ settings: TokenizerSettings, file: String) throws(TokenizerError) {
        let model = try Self.model(data, file: file)
        let (trainer, rules) = (model.trainerSpec, model.normalizerSpec)
        let entries = Self.entries(model, renamedBy: settings.declared)
        let vocabulary = try SentencePieceVocabulary(
            entries, unknownPiece: trainer.unkPiece, byteFallback: trainer.byteFallback, file: file)
        let normalizer = SentencePieceNormalizer(
            characterMap: try Self.characterMap(rules, file: file), userDefined: vocabulary.userDefined,
            addsDummyPrefix: rules.addDummyPrefix, removesExtraWhitespace: rules.removeExtraWhitespaces,
            escapesWhitespace: rules.escapeWhitespaces, treatsWhitespaceAsSuffix: trainer.treatWhitespaceAsSuffix)

        let ids = Dictionary(
            zip(entries.map(\.piece), entries.indices.map(Int32.init)), uniquingKeysWith: { first, _ in first })
        var registry = AddedTokenRegistry(vocabularyCount: entries.count) { ids[$0] }
        let named = settings.namedTokens(defaults: Self.namedPieces(trainer, entries))
        let controls = entries.filter { $0.kind == .control }.map {
            AddedTokens.Token(id: -1, content: $0.piece, isSpecial: true)
        }
        // Text between added tokens is what SentencePiece sees, so they are looked for before anything is normalized.
        registry.add(
            settings, named: named.map(\.token), extra: settings.extraSpecial + controls, keepsNormalized: false)
        let recipe = TokenizerRecipe.choose(
            modelType: settings.modelType, className: settings.className, isByteLevel: false
        ).recipe
        // Given as null, it is false there.
        let isLegacy = try settings.flag("legacy") ?? (!settings.has("legacy") && recipe != .llama)
        try PrefixMatcher.check(registry.tokens.map(\.content), file: file)
        var usage = Usage(
            added: AddedTokens(registry.tokens), frame: TokenizerFrame(),
            spacing: isLegacy ? .everywhere : .first,
            splitsSpecial: try settings.flag("split_special_tokens") ?? false, unknownSurface: trainer.unkSurface)
        try usage.frame.take(settings, named, registry)
        if trainer.treatWhitespaceAsSuffix {
            usage.frame.notices.append(
                "tokenizer.model puts spaces after words (treat_whitespace_as_suffix), as sentencepiece does; transformers 5 does "
                    + "not read that setting")
        }
        self.init(vocabulary, normalizer, usage, sha256: JSONTokenizer.sha256(data))
    }

    private static func model(_ data: Data, file: String) throws(TokenizerError) -> ProtoSentencePieceModel {
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
        return model
    }

    private static func characterMap(
        _ rules: ProtoSentencePieceModel.NormalizerSpec, file: String
    ) throws(TokenizerError) -> CharacterMap? {
        if rules.precompiledCharsmap.isEmpty { return nil }
        guard let map = CharacterMap(Array(rules.precompiledCharsmap)) else {
            throw TokenizerError(
                file: file, subject: "field normalizer_spec.precompiled_charsmap",
                problem: "sizes do not fit, or a rule writes more than \(CharacterMap.longestReplacement) bytes")
        }
        return map
    }

    /// The pieces; what stands in `added_tokens_decoder` under the id of one takes its place.
    private static func entries(
        _ model: ProtoSentencePieceModel, renamedBy declared: [AddedTokens.Token]
    ) -> [SentencePieceVocabulary.Entry] {
        var entries = model.pieces.map {
            SentencePieceVocabulary.Entry(
                piece: Array($0.piece.utf8), score: $0.score,
                kind: PieceKind(rawValue: UInt8(clamping: $0.type.rawValue)) ?? .normal)
        }
        let renamed = declared.filter {
            entries.indices.contains(Int($0.id)) && entries[Int($0.id)].piece != $0.content
        }
        guard !renamed.isEmpty else { return entries }
        let ids = Set(declared.map(\.id))
        let kept = Set(entries.indices.filter { !ids.contains(Int32($0)) }.map { entries[$0].piece })
        for token in renamed where !kept.contains(token.content) { entries[Int(token.id)].piece = token.content }
        return entries
    }

    /// Named tokens of the model file, which a folder's own names replace.
    private static func namedPieces(
        _ trainer: ProtoSentencePieceModel.TrainerSpec, _ entries: [SentencePieceVocabulary.Entry]
    ) -> [String: String] {
        let names = ["bos_token": trainer.bosPiece, "eos_token": trainer.eosPiece, "unk_token": trainer.unkPiece]
        let reserved = Set(entries.filter { $0.kind == .control || $0.kind == .unknown }.map(\.piece))
        return names.filter { reserved.contains(Array($0.value.utf8)) }
    }
}

extension TokenizerFrame {
    /// Names, and what is put around a text, where no `tokenizer.json` says.
    fileprivate mutating func take(
        _ settings: TokenizerSettings, _ named: [(name: String, token: AddedTokens.Token)],
        _ registry: AddedTokenRegistry
    ) throws(TokenizerError) {
        self.named = named.map { .init(name: $0.name, piece: String(decoding: $0.token.content, as: UTF8.self)) }
        func id(_ name: String) -> Int32? {
            named.first { $0.name == name }.flatMap { registry.id(of: $0.token.content) }
        }
        bos = id("bos_token")
        eos = id("eos_token")
        notices += registry.notices
        let flag = try settings.flag("add_bos_token")
        if let bos {
            if flag ?? settings.isBare { prefix = [bos] }
            if settings.isBare {
                notices.append(
                    "tokenizer.model alone does not say whether a text begins with BOS: it does here and in llama.cpp, not in "
                        + "transformers 5 (\"add_bos_token\" in tokenizer_config.json says it)")
            } else if flag == nil {
                notices.append(
                    "add_bos_token is not said beside tokenizer.model: no BOS is put before a text, as in transformers 5 "
                        + "(llama.cpp and earlier releases of transformers put one)")
            }
        }
        if try settings.flag("add_eos_token") ?? false, let eos { suffix = [eos] }
    }
}
