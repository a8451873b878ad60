import Checkpoints
import Foundation
import MoEModel
import Tokenizers

/// A model and its tokenizer, found by name or path.
struct LoadedModel {
    let model: Model
    /// nil where the checkpoint brings none.
    let tokenizer: (any Tokenizer)?

    init(_ name: String, precision: Precision, threads: Int? = nil) throws {
        let checkpoint = try Checkpoint.open(try ModelLocator.resolve(name))
        model = try Model(checkpoint, precision: precision, threads: threads)
        tokenizer = try checkpoint.tokenizerFile.map { try TokenizerFile.open($0) }
    }
}
