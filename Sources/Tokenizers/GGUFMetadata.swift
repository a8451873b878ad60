import Foundation
import FileFormats

extension SentencePieceTokenizer {
    /// The vocabulary as GGUF metadata (`tokenizer.ggml.…`).
    /// - Parameter size: rows of the model's embedding; pieces that are missing are filled in as unused ones.
    public func ggufMetadata(vocabularySize size: Int) -> [(key: String, value: GGUFValue)] {
        var tokens: [[UInt8]] = []
        var kinds: [Int64] = []
        for id in 0..<max(size, vocabularySize) {
            let piece = vocabulary.pieces[Int32(id)]
            tokens.append(piece.isEmpty ? Array("[PAD\(id)]".utf8) : Array(piece))
            kinds.append(id < vocabularySize ? Int64(vocabulary.kinds[id].rawValue) : 5)
        }
        let scores = vocabulary.scores + Array(repeating: -1e4, count: tokens.count - vocabularySize)
        var result: [(key: String, value: GGUFValue)] = [
            ("tokenizer.ggml.model", .string(Array("llama".utf8))),
            ("tokenizer.ggml.pre", .string(Array("default".utf8))),
            ("tokenizer.ggml.tokens", .strings(tokens)), ("tokenizer.ggml.scores", .floats(scores)),
            ("tokenizer.ggml.token_type", .integers(kinds)),
            ("tokenizer.ggml.unknown_token_id", .unsigned(UInt64(vocabulary.unknown))),
            ("tokenizer.ggml.add_space_prefix", .bool(normalizer.addsDummyPrefix)),
            ("tokenizer.ggml.add_bos_token", .bool(bos != nil)), ("tokenizer.ggml.add_eos_token", .bool(false)),
        ]
        if let bos { result.append(("tokenizer.ggml.bos_token_id", .unsigned(UInt64(bos)))) }
        if let eos { result.append(("tokenizer.ggml.eos_token_id", .unsigned(UInt64(eos)))) }
        return result
    }
}

extension JSONTokenizer {
    /// The vocabulary as GGUF metadata; nil where GGUF has no name for how it cuts words (only byte-level vocabularies of
    /// the patterns in `SplitPattern` have one).
    /// - Parameter size: rows of the model's embedding; pieces that are missing are filled in as unused ones.
    public func ggufMetadata(vocabularySize size: Int) -> [(key: String, value: GGUFValue)]? {
        let name: String
        switch preTokenization {
        case [.split(.gpt2)]: name = normalization.isEmpty ? "gpt-2" : "olmo"
        case [.split(.cl100k(digits: 1))]: name = "qwen2"
        case [.split(.cl100k(digits: 3))]: name = "llama-bpe"
        case [.digits(individual: true), .split(.gpt2)]: name = "refact"
        default: return nil
        }
        guard kind == .byteLevelBPE else { return nil }
        var tokens: [[UInt8]] = []
        var kinds: [Int64] = []
        let special = specialIDs
        let others = Set(added.tokens.map(\.id)).subtracting(special)
        for id in 0..<Int32(max(size, vocabularySize)) {
            let piece = model.pieces[id]
            tokens.append(piece.isEmpty ? Array("[PAD\(id)]".utf8) : Array(piece))
            kinds.append(piece.isEmpty ? 5 : special.contains(id) ? 3 : others.contains(id) ? 4 : 1)
        }
        var result: [(key: String, value: GGUFValue)] = [
            ("tokenizer.ggml.model", .string(Array("gpt2".utf8))), ("tokenizer.ggml.pre", .string(Array(name.utf8))),
            ("tokenizer.ggml.tokens", .strings(tokens)), ("tokenizer.ggml.token_type", .integers(kinds)),
            ("tokenizer.ggml.merges", .strings(model.mergesByRank)),
            ("tokenizer.ggml.add_bos_token", .bool(bos != nil)),
        ]
        if let bos { result.append(("tokenizer.ggml.bos_token_id", .unsigned(UInt64(bos)))) }
        if let eos { result.append(("tokenizer.ggml.eos_token_id", .unsigned(UInt64(eos)))) }
        return result
    }
}

extension TokenizerFile {
    /// The GGUF metadata of the tokenizer in a file; nil where GGUF cannot say it.
    public static func ggufMetadata(
        _ url: URL, vocabularySize size: Int
    ) throws(TokenizerError) -> [(key: String, value: GGUFValue)]? {
        switch try open(url) {
        case let tokenizer as SentencePieceTokenizer: tokenizer.ggufMetadata(vocabularySize: size)
        case let tokenizer as JSONTokenizer: tokenizer.ggufMetadata(vocabularySize: size)
        default: nil
        }
    }
}
