import FileFormats

extension JSONTokenizer {
    /// The byte-level vocabulary (`tokenizer.ggml.model` "gpt2") of a GGUF file.
    init(_ vocabulary: GGUFVocabulary) throws(TokenizerError) {
        guard let merges = vocabulary.metadata["tokenizer.ggml.merges"]?.strings else {
            throw TokenizerError(
                file: vocabulary.file, subject: "metadata tokenizer.ggml.merges", problem: "there are no merges")
        }
        var pairs: [([UInt8], [UInt8])] = []
        for (index, merge) in merges.enumerated() {
            let parts = merge.split(separator: 0x20, omittingEmptySubsequences: false).map(Array.init)
            guard parts.count == 2 else {
                throw TokenizerError(
                    file: vocabulary.file, subject: "metadata tokenizer.ggml.merges[\(index)]",
                    problem: "expected two pieces")
            }
            pairs.append((parts[0], parts[1]))
        }
        let name = vocabulary.metadata["tokenizer.ggml.pre"]?.string ?? "default"
        let steps: [PreTokenizationStep]
        switch name {
        case "gpt-2", "olmo", "default", "phi-2", "jina-en": steps = [.split(.gpt2)]
        case "qwen2", "qwen35": steps = [.split(.cl100k(digits: 1))]
        case "llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe": steps = [.split(.cl100k(digits: 3))]
        case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone":
            steps = [.digits(individual: true), .split(.gpt2)]
        default:
            throw TokenizerError(
                file: vocabulary.file, subject: "metadata tokenizer.ggml.pre",
                problem: "expected gpt-2, olmo, qwen2, llama-bpe, starcoder or refact, found \"\(name)\"")
        }
        // Kind 3 is a control token, 4 one that the user defined; the rest comes out of merging.
        let added = vocabulary.tokens.indices.filter { vocabulary.kinds[$0] == 3 || vocabulary.kinds[$0] == 4 }
        self.init(
            kind: .byteLevelBPE, sha256: vocabulary.sha256, bos: vocabulary.token("bos_token_id"),
            eos: vocabulary.token("eos_token_id"),
            model: try BytePairModel(
                pieces: PieceTable(vocabulary.tokens) { ![3, 4].contains(vocabulary.kinds[$0]) }, alphabet: .bytes,
                unknown: nil, fusesUnknown: false, ignoresMerges: name.hasPrefix("llama"), pairs: pairs,
                file: vocabulary.file),
            added: AddedTokens(
                added.map {
                    .init(
                        id: Int32($0), content: vocabulary.tokens[$0], isSpecial: vocabulary.kinds[$0] == 3,
                        stripsLeft: false, stripsRight: false, isSingleWord: false, isNormalized: false)
                }),
            normalization: [], preTokenization: steps, decoding: TokenDecoding(isByteLevel: true),
            specialIDs: Set(added.filter { vocabulary.kinds[$0] == 3 }.map(Int32.init)))
    }
}
