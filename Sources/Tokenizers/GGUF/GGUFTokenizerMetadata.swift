import FileFormats

/// A tokenizer in GGUF's words.
public struct GGUFTokenizerMetadata: Sendable {
    public private(set) var entries: [(key: String, value: GGUFValue)] = []
    /// What other programs will do otherwise with the file, in sentences.
    public private(set) var notices: [String] = []
    private var note = GGUFTokenizerNote()

    /// - Parameters:
    ///   - size: rows of the model's embedding; pieces that are missing are filled in as unused ones.
    ///   - ends: ids that end a text (`EndTokens`); nil: not known, and left to what the tokens spell.
    ///   - file: what errors call it.
    /// - Throws: the setting that GGUF cannot hold.
    public init(
        _ tokenizer: any Tokenizer, vocabularySize size: Int, ends: Set<Int32>? = nil, file: String
    ) throws(TokenizerError) {
        if (tokenizer as? JSONTokenizer)?.splitsSpecial ?? (tokenizer as? SentencePieceTokenizer)?.splitsSpecial
            ?? false
        {
            throw Self.unsupported(file, "split_special_tokens", "control tokens that a chat template writes stay text")
        }
        switch tokenizer {
        case let tokenizer as SentencePieceTokenizer: try add(tokenizer, size, file)
        case let tokenizer as JSONTokenizer where tokenizer.steps.isByteLevel: try add(byteLevel: tokenizer, size, file)
        case let tokenizer as JSONTokenizer: try add(characterLevel: tokenizer, size, file)
        default: throw Self.unsupported(file, "tokenizer", "GGUF has no way to hold this kind of tokenizer")
        }
        try add(tokenizer.frame, tokenizer, file)
        if let ends { add(ends: ends) }
        guard !note.isEmpty else { return }
        entries.append((GGUFTokenizerNote.key, .string(Array(note.json.utf8))))
        notices += note.notices
    }

    private static func unsupported(_ file: String, _ subject: String, _ problem: String) -> TokenizerError {
        TokenizerError(file: file, subject: subject, problem: problem, hint: "GGUF cannot hold this setting")
    }

    private mutating func add(_ key: String, _ value: GGUFValue) { entries.append(("tokenizer.ggml.\(key)", value)) }

    /// Pieces by id, and what kind each is.
    private mutating func add(
        model: String, pre: String, _ tokenizer: any Tokenizer, added: AddedTokens, size: Int, kind: (Int32) -> Int64
    ) {
        var tokens: [[UInt8]] = []
        var kinds: [Int64] = []
        let addedByID = Dictionary(added.tokens.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for id in 0..<Int32(max(size, tokenizer.vocabularySize)) {
            if let token = addedByID[id] {
                tokens.append(token.content)
                kinds.append(!token.isSpecial ? 4 : kind(id) == 2 ? 2 : 3)
            } else if let piece = tokenizer.piece(id), !piece.isEmpty {
                tokens.append(tokenizer.bytes(ofPiece: id) ?? Array(piece.utf8))
                kinds.append(kind(id))
            } else {
                tokens.append(Array("[PAD\(id)]".utf8))
                kinds.append(5)
            }
        }
        add("model", .string(Array(model.utf8)))
        add("pre", .string(Array(pre.utf8)))
        add("tokens", .strings(tokens))
        add("token_type", .integers(kinds))
    }

    /// Ids that end a text: those a reader would not take for ends by what they spell get the keys for the end of a turn
    /// and of a message; where that does not say it all, the note does.
    private mutating func add(ends: Set<Int32>) {
        func value(_ key: String) -> GGUFValue? { entries.first { $0.key == "tokenizer.ggml.\(key)" }?.value }
        let textual = Set(note.textual)
        let tokens = value("tokens")?.strings ?? []
        var known = Set(
            tokens.indices.map(Int32.init).filter {
                GGUFVocabulary.isEnd(tokens[Int($0)]) && !textual.contains($0)
            })
        if let eos = value("eos_token_id")?.int { known.insert(Int32(eos)) }
        for (key, id) in zip(["eom_token_id", "eot_token_id"], ends.subtracting(known).sorted()) {
            add(key, .unsigned(UInt64(id)))
            known.insert(id)
        }
        if known != ends { note.ends = ends.sorted() }
    }

    private mutating func add(_ frame: TokenizerFrame, _ tokenizer: any Tokenizer, _ file: String)
        throws(TokenizerError)
    {
        guard frame.prefix.count <= 1, frame.suffix.count <= 1 else {
            throw Self.unsupported(
                file, "post_processor",
                "it puts \(frame.prefix.count) tokens before a text and \(frame.suffix.count) after it")
        }
        if let bos = frame.prefix.first ?? frame.bos { add("bos_token_id", .unsigned(UInt64(bos))) }
        if let eos = frame.suffix.first ?? frame.eos { add("eos_token_id", .unsigned(UInt64(eos))) }
        for (name, key) in [("unk_token", "unknown_token_id"), ("pad_token", "padding_token_id")] {
            guard let piece = frame.named.first(where: { $0.name == name })?.piece,
                let id = tokenizer.id(ofPiece: piece),
                !entries.contains(where: { $0.key == "tokenizer.ggml.\(key)" })
            else { continue }
            add(key, .unsigned(UInt64(id)))
        }
        add("add_bos_token", .bool(!frame.prefix.isEmpty))
        add("add_eos_token", .bool(!frame.suffix.isEmpty))
    }
}

extension GGUFTokenizerMetadata {
    private mutating func add(
        _ tokenizer: SentencePieceTokenizer, _ size: Int, _ file: String
    ) throws(TokenizerError) {
        let (vocabulary, normalizer) = (tokenizer.vocabulary, tokenizer.normalizer)
        if normalizer.treatsWhitespaceAsSuffix {
            throw Self.unsupported(
                file, "trainer_spec.treat_whitespace_as_suffix", "spaces belong to the word before them")
        }
        if normalizer.characterMap != nil {
            throw Self.unsupported(file, "normalizer_spec.precompiled_charsmap", "characters are replaced by rules")
        }
        if !normalizer.escapesWhitespace {
            throw Self.unsupported(file, "normalizer_spec.escape_whitespaces", "spaces are not written as U+2581")
        }
        add(model: "llama", pre: "default", tokenizer, added: tokenizer.added, size: size) { id in
            Int(id) < vocabulary.kinds.count ? Int64(vocabulary.kinds[Int(id)].rawValue) : 1
        }
        let count = max(size, tokenizer.vocabularySize)
        let scores = vocabulary.scores + Array(repeating: Self.addedScore, count: count - vocabulary.scores.count)
        add("scores", .floats(scores))
        add("unknown_token_id", .unsigned(UInt64(vocabulary.unknown)))
        add("add_space_prefix", .bool(normalizer.addsDummyPrefix))
        if normalizer.removesExtraWhitespace {
            add("remove_extra_whitespaces", .bool(true))
            notices.append("llama.cpp does not remove extra spaces, as this tokenizer does")
        }
        note = GGUFTokenizerNote(tokenizer.added.tokens)
        note.spacing = tokenizer.spacing
        let added = Set(tokenizer.added.tokens.map(\.id))
        note.withinText = vocabulary.kinds.indices.map(Int32.init).filter {
            vocabulary.kinds[Int($0)] == .userDefined && !added.contains($0)
        }
    }

    /// Pieces that no merge makes; what converters give added tokens.
    private static let addedScore: Float = -1000

    private mutating func add(
        byteLevel tokenizer: JSONTokenizer, _ size: Int, _ file: String
    ) throws(TokenizerError) {
        let steps = tokenizer.steps
        guard steps.normalization.isEmpty || steps.normalization == [.nfc] else {
            throw Self.unsupported(file, "normalizer", "text is changed otherwise than by NFC")
        }
        guard let pre = GGUFPreTokenizer.name(of: steps, ignoresMerges: tokenizer.model.options.ignoresMerges) else {
            throw Self.unsupported(file, "pre_tokenizer", "text is cut into words in a way that has no name in GGUF")
        }
        add(model: "gpt2", pre: pre, tokenizer, added: tokenizer.added, size: size) { _ in 1 }
        add("merges", .strings(tokenizer.model.mergesByRank))
        if pre == "kimi-k2" {
            notices.append("llama.cpp does not end a word before a capital letter, as this tokenizer does (wordOne)")
        }
        note = GGUFTokenizerNote(tokenizer.added.tokens)
        note.composes = steps.normalization == [.nfc]
    }

    /// A SentencePiece vocabulary that `tokenizer.json` writes as merges: a piece's score is the place of its first merge.
    private mutating func add(
        characterLevel tokenizer: JSONTokenizer, _ size: Int, _ file: String
    ) throws(TokenizerError) {
        guard case .characters(byteFallback: true) = tokenizer.model.alphabet else {
            throw Self.unsupported(file, "model.byte_fallback", "characters without a piece do not become bytes")
        }
        let spaces = NormalizationStep.replace([0x20], with: spaceSymbol)
        let (normalization, words) = (tokenizer.steps.normalization, tokenizer.steps.preTokenization)
        let spacing: SentencePieceTokenizer.Spacing?
        if words.isEmpty, normalization == [.prepend(spaceSymbol), spaces] {
            spacing = .everywhere
        } else if words.isEmpty, normalization == [spaces] {
            spacing = nil
        } else if normalization.isEmpty || normalization == [spaces], words.count == 1,
            case .metaspace(let scheme, splits: false) = words[0]
        {
            spacing = scheme == .never ? nil : scheme == .always ? .always : .first
        } else {
            throw Self.unsupported(
                file, normalization.isEmpty ? "pre_tokenizer" : "normalizer",
                "text is changed otherwise than by a space before it and U+2581 for spaces")
        }
        let ranks = tokenizer.model.rankOfPiece
        add(model: "llama", pre: "default", tokenizer, added: tokenizer.added, size: size) { id in
            let piece = tokenizer.model.pieces[id]
            return piece.count == 6 && piece.starts(with: "<0x".utf8) ? 6 : 1
        }
        let lowest = Float(ranks.count + 1)
        add(
            "scores",
            .floats((0..<Int32(max(size, tokenizer.vocabularySize))).map { ranks[$0].map { -Float($0) } ?? -lowest }))
        add("add_space_prefix", .bool(spacing != nil))
        var tokens = tokenizer.added.tokens
        // Without a normalizer, what is looked for in normalized text is looked for in the text.
        if normalization.isEmpty { for index in tokens.indices { tokens[index].isNormalized = false } }
        note = GGUFTokenizerNote(tokens)
        note.spacing = spacing ?? .everywhere
        note.joinsBytes = tokenizer.steps.decoding.hasByteFallback
    }
}

extension Tokenizer {
    /// The bytes of a piece, which need not be UTF-8.
    fileprivate func bytes(ofPiece id: Int32) -> [UInt8]? {
        switch self {
        case let tokenizer as SentencePieceTokenizer:
            Int(id) < tokenizer.vocabulary.kinds.count ? Array(tokenizer.vocabulary.pieces[id]) : nil
        case let tokenizer as JSONTokenizer: Array(tokenizer.model.pieces[id])
        default: nil
        }
    }
}

extension GGUFTokenizerMetadata {
    /// Reads the metadata as they would be read from a file, and compares.
    /// - Throws: where they make another tokenizer, with a text that the two cut differently.
    public func check(against tokenizer: any Tokenizer, file: String) throws(TokenizerError) {
        let metadata = Dictionary(entries.map { ($0.key, $0.value) }, uniquingKeysWith: { _, last in last })
        let written = try TokenizerFile.open(GGUFVocabulary(metadata: metadata, file: file))
        guard let difference = TokenizerComparison.difference(tokenizer, written) else { return }
        throw TokenizerError(
            file: file, problem: "a GGUF file of this tokenizer would be another one: \(difference)",
            hint: "GGUF cannot hold all that it does")
    }
}
