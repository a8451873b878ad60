import Tokenizers
import Traces

extension TraceVocabulary {
    /// Every piece of a tokenizer.
    init(_ tokenizer: any Tokenizer) {
        self.init(
            pieces: (0..<Int32(tokenizer.vocabularySize)).map { tokenizer.piece($0) }, kind: tokenizer.kind)
    }
}
