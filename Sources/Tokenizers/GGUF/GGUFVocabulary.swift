import Crypto
import Foundation
import FileFormats

/// The vocabulary a GGUF file carries in its metadata (`tokenizer.ggml.…`), read as llama.cpp reads it.
struct GGUFVocabulary {
    let file: String
    let metadata: [String: GGUFValue]
    /// "llama" (SentencePiece BPE), "gpt2" (byte-level BPE), …
    let model: String
    /// A piece that is empty in the file is "[EMPTY_7]".
    let tokens: [[UInt8]]
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    let kinds: [Int64]
    /// The same as the file writes them, before the texts of some make them control tokens.
    private let writtenKinds: [Int64]
    /// What only this program writes down of a tokenizer; nil: nothing.
    let note: GGUFTokenizerNote?

    init(_ url: URL) throws(TokenizerError) {
        // Mapped: the vocabulary is a few megabytes at the start of what may be many gigabytes.
        let map: MappedFile
        do throws(FileError) { map = try MappedFile(url) } catch {
            throw TokenizerError(file: url.path, problem: "cannot be read: \(error.problem ?? error.reason.rawValue)")
        }
        let header: GGUFHeader
        do throws(GGUFSyntaxError) {
            header = try withExtendedLifetime(map, { () throws(GGUFSyntaxError) in try GGUFHeader(map.bytes) })
        } catch {
            throw TokenizerError(file: url.path, subject: error.subject, problem: error.problem)
        }
        try self.init(metadata: header.metadata, file: url.path)
    }

    /// - Parameter file: what errors call it.
    init(metadata: [String: GGUFValue], file: String) throws(TokenizerError) {
        self.file = file
        self.metadata = metadata
        guard let model = metadata["tokenizer.ggml.model"]?.string,
            let tokens = metadata["tokenizer.ggml.tokens"]?.strings
        else {
            throw TokenizerError(
                file: file, subject: "metadata tokenizer.ggml.tokens", problem: "the file has no vocabulary")
        }
        self.model = model
        self.tokens = tokens.enumerated().map { $1.isEmpty ? Array("[EMPTY_\($0)]".utf8) : $1 }
        note = try metadata[GGUFTokenizerNote.key]?.string.map { text throws(TokenizerError) in
            try GGUFTokenizerNote(text, file: file)
        }
        writtenKinds = try Self.writtenKinds(metadata, tokens, file: file)
        kinds = Self.kinds(writtenKinds, tokens, textual: Set(note?.textual ?? []))
    }

    /// Whether merging can make a token: llama.cpp takes "</s>" of Qwen's vocabulary for a control token and merges to it all
    /// the same.
    func isMergeable(_ id: Int) -> Bool { ![2, 3, 4].contains(writtenKinds[id]) }

    /// Texts that llama.cpp takes for control tokens, whatever their kind, and that end a text.
    static let controlTexts: Set<String> = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
        "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
        "<end_of_utterance>", "<eos>", "<\u{FF5C}end\u{2581}of\u{2581}sentence\u{FF5C}>",
    ]

    /// Texts that llama.cpp takes for marks of filling in code, control tokens as well. It also ends texts at padding, names
    /// of repositories and ends of files; transformers does not, nor does this program.
    private static let infillTexts: Set<String> = [
        "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<\u{FF5C}fim\u{2581}begin\u{FF5C}>", "<PRE>",
        "\u{2581}<PRE>",
        "<|code_prefix|>", "<|prefix|>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
        "<\u{FF5C}fim\u{2581}hole\u{FF5C}>", "<SUF>", "\u{2581}<SUF>", "<|code_suffix|>", "<|suffix|>",
        "<|fim_middle|>",
        "<fim-middle>", "<fim_middle>", "<\u{FF5C}fim\u{2581}end\u{FF5C}>", "<MID>", "\u{2581}<MID>", "<|code_middle|>",
        "<|middle|>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
        "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
    ]
    private static let ends = Set(controlTexts.map { Array($0.utf8) })
    private static let controls = ends.union(infillTexts.map { Array($0.utf8) })

    /// Whether a token of this text ends a text in llama.cpp.
    static func isEnd(_ content: [UInt8]) -> Bool { ends.contains(content) }
    /// Whether an added token of this text is a control token in llama.cpp, whatever its kind.
    static func isControl(_ content: [UInt8]) -> Bool { controls.contains(content) }

    private static func writtenKinds(
        _ metadata: [String: GGUFValue], _ tokens: [[UInt8]], file: String
    ) throws(TokenizerError) -> [Int64] {
        let known = metadata["tokenizer.ggml.token_type"]?.integers
        if let known, known.count < tokens.count {
            throw TokenizerError(
                file: file, subject: "metadata tokenizer.ggml.token_type",
                problem: "\(known.count) types for \(tokens.count) tokens")
        }
        var kinds = known.map { Array($0.prefix(tokens.count)) } ?? Array(repeating: 1, count: tokens.count)
        if known == nil {
            // Without kinds, bytes are known by their names and the tokens around a text by their ids.
            for (id, token) in tokens.enumerated() where token.count == 6 && token.starts(with: "<0x".utf8) {
                kinds[id] = 6
            }
            for (name, usual, kind) in [("unknown", 0, Int64(2)), ("bos", 1, 3), ("eos", 2, 3)] {
                let usual = metadata["tokenizer.ggml.model"]?.string == "llama" ? usual : nil
                if let id = metadata["tokenizer.ggml.\(name)_token_id"]?.int ?? usual, kinds.indices.contains(id) {
                    kinds[id] = kind
                }
            }
        }
        return kinds
    }

    /// - Parameter textual: ids whose text does not make them control tokens.
    private static func kinds(_ written: [Int64], _ tokens: [[UInt8]], textual: Set<Int32>) -> [Int64] {
        var kinds = written
        for (id, token) in tokens.enumerated()
        where kinds[id] != 3 && (kinds[id] == 4 ? isControl(token) : isEnd(token)) && !textual.contains(Int32(id)) {
            kinds[id] = 3
        }
        return kinds
    }

    /// Ids of rows that no token has: they decode to nothing, as in llama.cpp, whatever a converter called them.
    var unused: Set<Int32> { Set(kinds.indices.filter { kinds[$0] == 5 }.map(Int32.init)) }

    func flag(_ name: String) -> Bool? { metadata["tokenizer.ggml.\(name)"]?.bool }

    /// A token id, if the file gives a valid one.
    func token(_ name: String) -> Int32? {
        metadata["tokenizer.ggml.\(name)"]?.int.flatMap { tokens.indices.contains($0) ? Int32($0) : nil }
    }

    /// A score for every token; 0 where the file has none.
    func scores() throws(TokenizerError) -> [Float] {
        guard let value = metadata["tokenizer.ggml.scores"] else { return Array(repeating: 0, count: tokens.count) }
        let scores = value.floats ?? value.integers?.map { Float($0) }
        guard let scores, scores.count >= tokens.count else {
            throw TokenizerError(
                file: file, subject: "metadata tokenizer.ggml.scores",
                problem: "expected a score for each of \(tokens.count) tokens, found \(value.kindDescription)")
        }
        return Array(scores.prefix(tokens.count))
    }

    /// Tokens that are found before the text is cut: control tokens and those the user defined.
    func added() -> [AddedTokens.Token] {
        // llama.cpp knows Phi-3 by its name.
        let name = metadata["general.name"]?.string?.lowercased() ?? ""
        let isPhi = name.contains("phi-3") || name.contains("phi3")
        let within = note?.withinText ?? []
        let plain = Set(["<unk>", "<s>", "<|endoftext|>"].map { Array($0.utf8) })
        var tokens = tokens.indices.filter { (2...4).contains(kinds[$0]) && !within.contains(Int32($0)) }.map { id in
            AddedTokens.Token(
                id: Int32(id), content: self.tokens[id], isSpecial: kinds[id] != 4,
                stripsRight: isPhi && !plain.contains(self.tokens[id]))
        }
        note?.apply(to: &tokens)
        return tokens
    }

    /// What is around the vocabulary.
    /// - Parameters:
    ///   - defaults: BOS and EOS where the file names none.
    ///   - addsBOS: whether a text begins with BOS where the file does not say.
    func frame(defaults: (bos: Int32?, eos: Int32?), addsBOS: Bool) -> TokenizerFrame {
        var frame = TokenizerFrame()
        frame.endsByName = true
        frame.ends = note?.ends.map(Set.init)
        func usual(_ id: Int32?) -> Int32? { id.flatMap { tokens.indices.contains(Int($0)) ? $0 : nil } }
        frame.bos = token("bos_token_id") ?? usual(defaults.bos)
        frame.eos = token("eos_token_id") ?? usual(defaults.eos)
        if let bos = frame.bos, flag("add_bos_token") ?? addsBOS { frame.prefix = [bos] }
        if let eos = frame.eos, flag("add_eos_token") ?? false { frame.suffix = [eos] }
        let ids: [(String, Int32?)] = [
            ("bos_token", frame.bos), ("eos_token", frame.eos), ("unk_token", token("unknown_token_id")),
            ("sep_token", token("seperator_token_id")), ("pad_token", token("padding_token_id")),
        ]
        frame.named = ids.compactMap { name, id in
            id.map { .init(name: name, piece: String(decoding: tokens[Int($0)], as: UTF8.self)) }
        }
        return frame
    }

    /// SHA-256 (hex) of the vocabulary alone (every token's length, bytes and type, then the merges), so that it does
    /// not depend on the weights beside it.
    var sha256: String {
        var hash = SHA256()
        func add(_ value: Int64) { withUnsafeBytes(of: value.littleEndian) { hash.update(bufferPointer: $0) } }
        for (token, kind) in zip(tokens, kinds) {
            add(Int64(token.count))
            hash.update(data: token)
            add(kind)
        }
        for score in metadata["tokenizer.ggml.scores"]?.floats ?? [] { add(Int64(score.bitPattern)) }
        for merge in metadata["tokenizer.ggml.merges"]?.strings ?? [] {
            add(Int64(merge.count))
            hash.update(data: merge)
        }
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension SentencePieceTokenizer {
    /// The SentencePiece vocabulary (`tokenizer.ggml.model` "llama") of a GGUF file.
    init(_ file: GGUFVocabulary) throws(TokenizerError) {
        let scores = try file.scores()
        let entries = file.tokens.indices.map { id in
            SentencePieceVocabulary.Entry(
                piece: file.tokens[id], score: scores[id],
                kind: PieceKind(rawValue: UInt8(clamping: file.kinds[id])) ?? .normal)
        }
        let vocabulary = try SentencePieceVocabulary(
            entries, unknownPiece: "<unk>", byteFallback: entries.contains { $0.kind == .byte },
            leniency: .init(
                unknown: file.token("unknown_token_id") ?? 0, allowsDuplicates: true,
                foundBefore: Set(file.added().map(\.id))),
            file: file.file)
        let normalizer = SentencePieceNormalizer(
            characterMap: nil, userDefined: vocabulary.userDefined,
            addsDummyPrefix: file.flag("add_space_prefix") ?? true,
            removesExtraWhitespace: file.flag("remove_extra_whitespaces") ?? false, escapesWhitespace: true,
            treatsWhitespaceAsSuffix: false)
        var frame = file.frame(defaults: (1, 2), addsBOS: true)
        if normalizer.removesExtraWhitespace {
            frame.notices.append(
                "tokenizer.ggml.remove_extra_whitespaces is obeyed; llama.cpp does not, for this kind of vocabulary")
        }
        if file.metadata["tokenizer.ggml.precompiled_charsmap"] != nil {
            frame.notices.append(
                "tokenizer.ggml.precompiled_charsmap is not used for this kind of vocabulary, as in llama.cpp")
        }
        try PrefixMatcher.check(file.added().map(\.content), file: file.file)
        let added = AddedTokens(file.added(), precedence: file.note == nil ? .longest : .leftmost) { content in
            content.withUnsafeBufferPointer { normalizer.normalize($0, prefix: .ofModel) }
        }
        self.init(
            vocabulary, normalizer,
            Usage(
                added: added, frame: frame, spacing: file.note?.spacing ?? .everywhere, hidesUnused: true,
                joinsBytes: file.note?.joinsBytes ?? false), sha256: file.sha256)
    }
}
