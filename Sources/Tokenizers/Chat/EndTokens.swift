/// Which tokens end a text: for the command and for Python alike.
public enum EndTokens {
    /// - Parameter declared: ids that the model's own files name (`Checkpoint.endTokens`).
    /// - Returns: those that a GGUF file of this program notes; otherwise the declared ones, the tokenizer's EOS, and, where its file goes by names (GGUF) or no other id is known, control tokens that
    ///   are named as ends of a text or turn.
    public static func all(declared: [Int32], _ tokenizer: any Tokenizer) -> Set<Int32> {
        if let ends = tokenizer.frame.ends { return ends }
        var ends = Set(declared)
        if let eos = tokenizer.eos { ends.insert(eos) }
        guard tokenizer.frame.endsByName || ends.isEmpty else { return ends }
        let named = tokenizer.controlTokens.filter { GGUFVocabulary.controlTexts.contains($0.piece) }
        ends.formUnion(named.map(\.id))
        // In Harmony (gpt-oss) "<|end|>" ends a message and not the answer, which may go on in another channel; likewise llama.cpp.
        let pieces = Set(named.map(\.piece))
        let calls = !pieces.isDisjoint(with: ["<|call|>", "<|calls|>"])
        if calls, !pieces.isDisjoint(with: ["<|return|>", "<|flush|>"]) {
            for end in named where end.piece == "<|end|>" { ends.remove(end.id) }
        }
        return ends
    }
}
