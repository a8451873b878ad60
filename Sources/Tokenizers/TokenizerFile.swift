import FileFormats
import Foundation

/// Opens whatever kind of tokenizer a file holds.
public enum TokenizerFile {
    /// - Parameter url: `Checkpoint.tokenizerFile`: a `tokenizer.json`, a SentencePiece `tokenizer.model`, a `vocab.json`, or a
    ///   GGUF file with its vocabulary. What lies beside it in the folder is read too, as transformers reads it.
    /// - Throws: what is wrong with the file; "not a tokenizer" for any other.
    public static func open(_ url: URL) throws(TokenizerError) -> any Tokenizer {
        if GGUFHeader.isExpected(in: url) { return try open(GGUFVocabulary(url)) }
        let name = url.lastPathComponent
        switch name {
        case "vocab.json": return try JSONTokenizer(vocabulary: url)
        case "tekken.json", "tiktoken.model":
            throw TokenizerError(
                file: url.path, problem: "a vocabulary of another kind than this program reads",
                hint:
                    "write tokenizer.json: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) in transformers"
            )
        default: break
        }
        // mistral-common's files are called tokenizer.model.v1 and the like.
        if name.hasSuffix(".model") || name.contains(".model.") { return try SentencePieceTokenizer(url) }
        if name.hasSuffix(".json") { return try JSONTokenizer(url) }
        throw TokenizerError(
            file: url.path, problem: "not a tokenizer this program reads",
            hint: "expected tokenizer.json or tokenizer.model")
    }

    static func open(_ vocabulary: GGUFVocabulary) throws(TokenizerError) -> any Tokenizer {
        switch vocabulary.model {
        case "llama": return try SentencePieceTokenizer(vocabulary)
        case "gpt2": return try JSONTokenizer(vocabulary)
        default:
            throw TokenizerError(
                file: vocabulary.file, subject: "metadata tokenizer.ggml.model",
                problem: "expected \"llama\" or \"gpt2\", found \"\(vocabulary.model)\"")
        }
    }

    static func contents(_ url: URL) throws(TokenizerError) -> Data {
        do throws(FileError) { return try FileContents.read(url) } catch {
            throw TokenizerError(file: url.path, problem: "cannot be read: \(error.problem ?? error.reason.rawValue)")
        }
    }
}
