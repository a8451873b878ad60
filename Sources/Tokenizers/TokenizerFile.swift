import Foundation

/// Opens whatever kind of tokenizer a file holds.
public enum TokenizerFile {
    /// - Parameter url: `Checkpoint.tokenizerFile`: a SentencePiece `tokenizer.model`, a `tokenizer.json`, or a GGUF file with its vocabulary.
    /// - Throws: what is wrong with the file; "not a tokenizer" for any other.
    public static func open(_ url: URL) throws(TokenizerError) -> any Tokenizer {
        let name = url.lastPathComponent
        // mistral-common's files are called tokenizer.model.v1 and the like.
        if name.hasSuffix(".model") || name.contains(".model.") { return try SentencePieceTokenizer(url) }
        if name.hasSuffix(".json") { return try JSONTokenizer(url) }
        if url.pathExtension == "gguf" {
            let vocabulary = try GGUFVocabulary(url)
            switch vocabulary.model {
            case "llama": return try SentencePieceTokenizer(vocabulary)
            case "gpt2": return try JSONTokenizer(vocabulary)
            default:
                throw TokenizerError(
                    file: url.path, subject: "metadata tokenizer.ggml.model",
                    problem: "expected \"llama\" or \"gpt2\", found \"\(vocabulary.model)\"")
            }
        }
        throw TokenizerError(
            file: url.path, problem: "not a tokenizer this program reads",
            hint: "expected tokenizer.model or tokenizer.json")
    }
}
