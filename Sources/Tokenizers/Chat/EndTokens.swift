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
        for control in tokenizer.controlTokens where GGUFVocabulary.controlTexts.contains(control.piece) {
            ends.insert(control.id)
        }
        return ends
    }
}
