import Foundation

/// Opens whatever kind of tokenizer a file holds.
public enum TokenizerFile {
    /// - Parameter url: `Checkpoint.tokenizerFile`: a SentencePiece `tokenizer.model`.
    /// - Throws: what is wrong with the file; "not a tokenizer" for any other.
    public static func open(_ url: URL) throws(TokenizerError) -> any Tokenizer {
        let name = url.lastPathComponent
        // mistral-common's files are called tokenizer.model.v1 and the like.
        if name.hasSuffix(".model") || name.contains(".model.") { return try SentencePieceTokenizer(url) }
        throw TokenizerError(
            file: url.path, problem: "not a tokenizer this program reads", hint: "expected tokenizer.model")
    }
}
