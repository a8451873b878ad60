import FileFormats

extension JSONTokenizer {
    /// The byte-level vocabulary (`tokenizer.ggml.model` "gpt2") of a GGUF file.
    init(_ vocabulary: GGUFVocabulary) throws(TokenizerError) {
        let name = vocabulary.metadata["tokenizer.ggml.pre"]?.string
        guard let words = GGUFPreTokenizer(name: name ?? "default") else {
            throw TokenizerError(
                file: vocabulary.file, subject: "metadata tokenizer.ggml.pre",
                problem: "expected a way of cutting text into words that is known here, found \"\(name ?? "")\"")
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
            pieces: PieceTable(vocabulary.tokens, findable: vocabulary.isMergeable), alphabet: .bytes,
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
