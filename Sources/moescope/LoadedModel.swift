import Checkpoints
import Foundation
import MoEModel
import Tokenizers

/// A model and its tokenizer, found by name or path.
struct LoadedModel {
    let model: Model
    /// nil where the checkpoint brings none.
    let tokenizer: (any Tokenizer)?

    /// - Parameter memory: bytes the command may take in all; nil: three quarters of what is free.
    init(_ name: String, precision: Precision, threads: Int? = nil, memory: Int? = nil) throws {
        let checkpoint = try Checkpoint.open(try ModelLocator.resolve(name))
        // Half for the weights: the other half is for waves and records.
        model = try Model(
            checkpoint, precision: precision, threads: threads,
            weightBudget: (memory ?? MachineMemory.available / 4 * 3) / 2)
        tokenizer = try checkpoint.tokenizerFile.map { try TokenizerFile.open($0) }
    }
}
