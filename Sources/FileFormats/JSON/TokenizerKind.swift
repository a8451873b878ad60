/// How a vocabulary writes its pieces. Tokenizers say theirs, a trace's manifest records it, and `TokenText` reads pieces by it.
public enum TokenizerKind: String, Sendable, Codable, CaseIterable {
    /// SentencePiece's BPE: a space is U+2581, a byte that no piece covers is written `<0x0A>`. From `tokenizer.model`,
    /// `tokenizer.json` or a GGUF file.
    case sentencePieceBPE = "sentencepiece-bpe"
    /// BPE over bytes, each written as a printable character (`ByteAlphabet`): a space is "Ġ", a line break "Ċ". From
    /// `tokenizer.json` or a GGUF file.
    case byteLevelBPE = "byte-level-bpe"
    /// BPE over characters: a space is a space. From `tokenizer.json`; earlier versions called SentencePiece's so where it came from there.
    case bpe = "bpe"
    /// There is no tokenizer: the corpus gave token ids.
    case noTokenizer = "none"

    /// The kind that a manifest names. Other programs' names, and those of earlier versions ("sentencepiece", "gguf",
    /// "tokenizer.json"), are read too: what begins with "byte-level" as byte-level BPE, anything else as SentencePiece's.
    public init(named name: String) {
        self = TokenizerKind(rawValue: name) ?? (name.hasPrefix("byte-level") ? .byteLevelBPE : .sentencePieceBPE)
    }

    /// Whether pieces are written in `ByteAlphabet`.
    var isByteLevel: Bool { self == .byteLevelBPE }
}
