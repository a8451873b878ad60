import Checkpoints
import Foundation
import FileFormats
import Tokenizers

extension GGUFExport {
    /// An export with everything the checkpoint brings: its tokenizer, chat template and ids that end a text.
    /// - Throws: `FileError` or `TokenizerError`: a setting of the tokenizer that GGUF has no way to hold.
    public init(whole checkpoint: Checkpoint, mix: QuantizationMix, importance: ImportanceMatrix? = nil) throws {
        let metadata = try Self.tokenizer(of: checkpoint)
        try self.init(
            checkpoint, mix: mix, tokenizer: metadata.entries, importance: importance, notices: metadata.notices)
    }

    private static func tokenizer(
        of checkpoint: Checkpoint
    ) throws -> (entries: [(key: String, value: GGUFValue)], notices: [String]) {
        guard let file = checkpoint.tokenizerFile else {
            // What llama.cpp calls a model that is given ids only.
            return ([("tokenizer.ggml.model", .string(Array("no_vocab".utf8)))], [])
        }
        // A GGUF file's own metadata stay as they are.
        guard !checkpoint.isGGUF else { return ([], []) }
        let tokenizer = try TokenizerFile.open(file)
        let metadata = try GGUFTokenizerMetadata(
            tokenizer, vocabularySize: checkpoint.config.vocabularySize,
            ends: EndTokens.all(declared: try checkpoint.endTokens(), tokenizer), file: file.path)
        // Before hours of work, not after.
        try metadata.check(against: tokenizer, file: file.path)
        var entries = metadata.entries
        if let template = try checkpoint.chatTemplate() {
            entries.append(("tokenizer.chat_template", .string(Array(template.text.utf8))))
        }
        return (entries, metadata.notices)
    }

    /// Opens the file that was written and compares its tokenizer and what ends a text with the checkpoint's; a file that
    /// differs is removed.
    func checkTokenizer(_ written: URL) throws(FileError) {
        guard let file = checkpoint.tokenizerFile, metadata.contains(where: { $0.key == "tokenizer.ggml.tokens" }),
            GGUFHeader.isExpected(in: written)
        else { return }
        var difference: String?
        do {
            let (mine, theirs) = (try TokenizerFile.open(file), try TokenizerFile.open(written))
            difference = TokenizerComparison.difference(mine, theirs)
            if difference == nil {
                let ends = EndTokens.all(declared: try checkpoint.endTokens(), mine).sorted()
                let read = EndTokens.all(declared: try Checkpoint.open(written).endTokens(), theirs).sorted()
                if ends != read { difference = "texts end at \(ends), and at \(read)" }
            }
        } catch {
            difference = "\(error)"
        }
        guard let difference else { return }
        try? FileManager.default.removeItem(at: written)
        throw FileError(
            .mismatch, file: written.path, field: "the tokenizer that was written is not that of \(file.path)",
            problem: difference, hint: "the file was removed")
    }
}
