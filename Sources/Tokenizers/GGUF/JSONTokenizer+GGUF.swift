import FileFormats

extension JSONTokenizer {
    /// The byte-level vocabulary (`tokenizer.ggml.model` "gpt2") of a GGUF file.
    init(_ vocabulary: GGUFVocabulary) throws(TokenizerError) {
        let name = vocabulary.metadata["tokenizer.ggml.pre"]?.string
        guard let words = GGUFPreTokenizer(name: name ?? "default") else {
            throw TokenizerError(
                file: vocabulary.file, subject: "metadata tokenizer.ggml.pre",
                problem: "expected gpt-2, olmo, qwen2, llama-bpe, starcoder or refact, found \"\(name ?? "")\"")
        }
        var frame = vocabulary.frame(defaults: (nil, nil), addsBOS: words.addsBOS)
        if name == nil || name == "default" {
            let said = name == nil ? "is missing (files made before May 2024)" : "is \"default\""
            frame.notices.append(
                "tokenizer.ggml.pre \(said), so how the model cut text into words is not known: words are cut as llama.cpp "
                    + "does then; convert the model again for its own tokens")
        }
        let steps = TokenizationSteps(
            normalization: vocabulary.note?.composes == true ? [.nfc] : [], preTokenization: words.steps)
        // Kind 3 is a control token, 4 one that the user defined; the rest comes out of merging.
        let model = try BytePairModel(
            pieces: PieceTable(vocabulary.tokens) { ![2, 3, 4].contains(vocabulary.kinds[$0]) }, alphabet: .bytes,
            options: .init(ignoresMerges: words.ignoresMerges), pairs: try Self.merges(vocabulary),
            file: vocabulary.file)
        let precedence: AddedTokens.Precedence = vocabulary.note == nil ? .longest : .leftmost
        try PrefixMatcher.check(vocabulary.added().map(\.content), file: vocabulary.file)
        self.init(
            sha256: vocabulary.sha256, model: model,
            added: AddedTokens(vocabulary.added(), precedence: precedence, normalizing: steps.normalize), steps: steps,
            frame: frame, unused: vocabulary.unused)
    }

    private static func merges(_ vocabulary: GGUFVocabulary) throws(TokenizerError) -> [([UInt8], [UInt8])] {
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
        return pairs
    }
}

/// How llama.cpp cuts text into words, by the name a file gives in `tokenizer.ggml.pre`.
struct GGUFPreTokenizer {
    let steps: [PreTokenizationStep]
    var ignoresMerges = false
    /// Whether a text begins with BOS where the file does not say.
    var addsBOS = false

    /// nil for a name that is not known here.
    init?(name: String) {
        switch name {
        case "gpt-2", "olmo", "phi-2", "jina-en", "mpt", "jais": steps = [.split(.gpt2)]
        case "qwen2", "deepseek-r1-qwen", "megrez": steps = [.split(.cl100k(digits: 1))]
        case "llama-bpe", "llama3", "llama-v3":
            steps = [.split(.cl100k(digits: 3))]
            (ignoresMerges, addsBOS) = (true, true)
        case "gpt-4o":
            steps = [.split(.o200k)]
            // A vocabulary of tiktoken's: every piece is reached by merges as well.
            ignoresMerges = true
        case "dbrx", "smaug-bpe": steps = [.split(.cl100k(digits: 3))]
        case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone":
            steps = [.digits(individual: true), .split(.gpt2)]
        case "default": steps = [.punctuation, .split(.gpt2), .digits(individual: false), .digitTriples]
        default: return nil
        }
    }

    /// The name whose words are those of these steps; nil: GGUF has none.
    static func name(of steps: TokenizationSteps, ignoresMerges: Bool) -> String? {
        switch steps.preTokenization {
        case [.split(.gpt2)] where !ignoresMerges: steps.normalization == [.nfc] ? "olmo" : "gpt-2"
        case [.split(.cl100k(digits: 1))] where !ignoresMerges: "qwen2"
        case [.split(.cl100k(digits: 3))]: ignoresMerges ? "llama-bpe" : "dbrx"
        case [.split(.o200k)] where ignoresMerges: "gpt-4o"
        case [.digits(individual: true), .split(.gpt2)] where !ignoresMerges: "refact"
        default: nil
        }
    }
}
