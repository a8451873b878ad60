import Checkpoints
import Foundation
import MoEModel
import Tokenizers

/// A model and its tokenizer, found by name or path: what every command and Python load.
public struct LoadedModel: Sendable {
    public let model: Model
    /// nil where the checkpoint brings none.
    public let tokenizer: (any Tokenizer)?

    /// - Parameters:
    ///   - name: a built-in model, a Hugging Face folder or a GGUF file.
    ///   - threads: threads to compute with; nil: all processors.
    ///   - memory: bytes that the model may take with everything that runs on it; a model whose weights are more than half
    ///     of it is read from disk once per pass, but for decoding as long as they fit. nil: three quarters of what is free.
    /// - Throws: what opening the checkpoint, the tokenizer or the model finds.
    public init(_ name: String, precision: Precision, threads: Int? = nil, memory: Int? = nil) throws {
        let checkpoint = try Checkpoint.open(try ModelLocator.resolve(name))
        model = try Model(
            checkpoint, precision: precision, threads: threads, memory: memory ?? MachineMemory.available / 4 * 3)
        tokenizer = try checkpoint.tokenizerFile.map { try TokenizerFile.open($0) }
    }

    /// A corpus of this model: the tokens of its documents, whose texts are let go as they are read.
    ///
    /// - Parameters:
    ///   - path: see `Corpus.read`.
    ///   - maximumTokens: what documents will be cut to; nil: to the model's context.
    public func corpus(_ path: String, maximumTokens: Int?) throws(CorpusError) -> Corpus {
        let reader = CorpusReader(
            tokenizer: tokenizer, config: model.config, maximumTokens: maximumTokens,
            source: path == "-" ? "standard input" : path)
        return try Corpus.read(path, keeping: reader.tokenized)
    }
}
