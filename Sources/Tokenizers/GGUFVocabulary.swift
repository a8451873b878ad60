import Crypto
import Foundation
import FileFormats

/// The vocabulary a GGUF file carries in its metadata (`tokenizer.ggml.…`).
struct GGUFVocabulary {
    let file: String
    let metadata: [String: GGUFValue]
    /// "llama" (SentencePiece BPE), "gpt2" (byte-level BPE), …
    let model: String
    let tokens: [[UInt8]]
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; all normal where the file does not say.
    let kinds: [Int64]

    init(_ url: URL) throws(TokenizerError) {
        file = url.path
        let data: Data
        // Mapped: the vocabulary is a few megabytes at the start of what may be many gigabytes.
        do { data = try Data(contentsOf: url, options: .alwaysMapped) } catch {
            throw TokenizerError(file: url.path, problem: "cannot be read")
        }
        let header = data.withUnsafeBytes { bytes in
            Result { () throws(GGUFSyntaxError) -> GGUFHeader in try GGUFHeader(bytes) }
        }
        switch header {
        case .success(let header): metadata = header.metadata
        case .failure(let error): throw TokenizerError(file: url.path, subject: error.subject, problem: error.problem)
        }
        guard let model = metadata["tokenizer.ggml.model"]?.string,
            let tokens = metadata["tokenizer.ggml.tokens"]?.strings
        else {
            throw TokenizerError(
                file: url.path, subject: "metadata tokenizer.ggml.tokens", problem: "the file has no vocabulary")
        }
        self.model = model
        self.tokens = tokens
        kinds = metadata["tokenizer.ggml.token_type"]?.integers ?? Array(repeating: 1, count: tokens.count)
        guard kinds.count == tokens.count else {
            throw TokenizerError(
                file: url.path, subject: "metadata tokenizer.ggml.token_type",
                problem: "\(kinds.count) types for \(tokens.count) tokens")
        }
    }

    func flag(_ name: String, default fallback: Bool) -> Bool {
        metadata["tokenizer.ggml.\(name)"]?.bool ?? fallback
    }

    /// A token id, if the file gives a valid one.
    func token(_ name: String) -> Int32? {
        metadata["tokenizer.ggml.\(name)"]?.int.flatMap { tokens.indices.contains($0) ? Int32($0) : nil }
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
    init(_ vocabulary: GGUFVocabulary) throws(TokenizerError) {
        guard let scores = vocabulary.metadata["tokenizer.ggml.scores"]?.floats,
            scores.count == vocabulary.tokens.count
        else {
            throw TokenizerError(
                file: vocabulary.file, subject: "metadata tokenizer.ggml.scores",
                problem: "expected a score for each of \(vocabulary.tokens.count) tokens")
        }
        var entries: [SentencePieceVocabulary.Entry] = []
        for (index, piece) in vocabulary.tokens.enumerated() {
            let kind = PieceKind(rawValue: UInt8(clamping: vocabulary.kinds[index])) ?? .normal
            entries.append(.init(piece: piece, score: scores[index], kind: kind))
        }
        func piece(_ name: String, _ fallback: String) -> String {
            vocabulary.token(name).map { String(decoding: vocabulary.tokens[Int($0)], as: UTF8.self) } ?? fallback
        }
        try self.init(
            entries: entries, file: vocabulary.file, sha256: vocabulary.sha256,
            byteFallback: entries.contains { $0.kind == .byte }, unknownPiece: piece("unknown_token_id", "<unk>"),
            bosPiece: piece("bos_token_id", "<s>"), eosPiece: piece("eos_token_id", "</s>"),
            unknownSurface: " \u{2047} "
        ) { userDefined in
            SentencePieceNormalizer(
                characterMap: nil, userDefined: userDefined,
                addsDummyPrefix: vocabulary.flag("add_space_prefix", default: true),
                removesExtraWhitespace: vocabulary.flag("remove_extra_whitespaces", default: false),
                escapesWhitespace: true, treatsWhitespaceAsSuffix: false)
        }
    }
}
