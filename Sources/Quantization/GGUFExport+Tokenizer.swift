import Checkpoints
import FileFormats
import Tokenizers

extension GGUFExport {
    /// An export with everything the checkpoint brings: its tokenizer, chat template and ids that end a text.
    /// - Throws: `FileError` or `TokenizerError`; `unsupported` for a tokenizer that GGUF has no way to hold.
    public init(whole checkpoint: Checkpoint, mix: QuantizationMix, importance: ImportanceMatrix? = nil) throws {
        var tokenizer: [(key: String, value: GGUFValue)] = []
        if let file = checkpoint.tokenizerFile, file.pathExtension != "gguf" {
            guard let metadata = try TokenizerFile.ggufMetadata(file, vocabularySize: checkpoint.config.vocabularySize)
            else {
                throw FileError(
                    .unsupported, file: file.path, problem: "GGUF has no way to hold this kind of tokenizer")
            }
            tokenizer = metadata
            if let template = try checkpoint.chatTemplate() {
                tokenizer.append(("tokenizer.chat_template", .string(Array(template.utf8))))
            }
        } else if checkpoint.tokenizerFile == nil {
            // What llama.cpp calls a model that is given ids only.
            tokenizer = [("tokenizer.ggml.model", .string(Array("no_vocab".utf8)))]
        }
        try self.init(checkpoint, mix: mix, tokenizer: tokenizer, importance: importance)
    }
}
