import Checkpoints
import Foundation
import MoEModel
import Synchronization
import Tokenizers
import Tracing

/// A model with its tokenizer, as Python holds it.
final class PythonModel: Sendable {
    let loaded: LoadedModel
    var model: Model { loaded.model }
    /// nil where the checkpoint brings none.
    var tokenizer: (any Tokenizer)? { loaded.tokenizer }
    /// Threads inside a pass of this model.
    private let running = Mutex<Set<pthread_t>>([])

    /// - Parameter memory: bytes the model may take with what runs on it; nil: three quarters of what is free.
    init(path: String, precision: Precision, threads: Int?, memory: Int?) throws {
        loaded = try LoadedModel(path, precision: precision, threads: threads, memory: memory)
    }

    /// Runs a pass, unless this thread is inside one: a callback that ran its own model would wait for itself.
    func pass<R>(_ body: (ReleasedInterpreter) throws -> R) throws(PythonError) -> R {
        let thread = pthread_self()
        guard running.withLock({ $0.insert(thread).inserted }) else {
            throw .runtime("the model is running already: a callback cannot run the model it is called from")
        }
        defer { _ = running.withLock { $0.remove(thread) } }
        return try ReleasedInterpreter.run(body)
    }

    /// Ids that the tokenizer or the model has; those without a piece are decoded to nothing.
    var tokenCount: Int { max(tokenizer?.vocabularySize ?? 0, model.config.vocabularySize) }

    func requireTokenizer() throws(PythonError) -> any Tokenizer {
        guard let tokenizer else {
            throw .value("\(model.checkpoint.url.path) has no tokenizer; give token ids instead of text")
        }
        return tokenizer
    }
}
