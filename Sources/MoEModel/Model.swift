import Checkpoints
import Foundation
import Hooks
import Tensors

/// A mixture-of-experts language model, ready to run.
///
/// Loading maps the checkpoint and converts only the norms; weights are read when the first pass needs them.
/// One model can be used from several threads; its passes then run one after the other.
public final class Model: @unchecked Sendable {
    public let checkpoint: Checkpoint
    public let config: ModelConfig
    public let precision: Precision
    let backend: Backend
    let weights: Weights
    let stream: WeightStream
    /// Held by the pass that runs, because passes share the backend's memory.
    let lock = RemadeAfterFork { NSLock() }
    /// The plan that watches nothing, for decoding.
    let noHooks: ResolvedHooks
    private var rotary: [Bool: RotaryTable] = [:]

    /// - Parameters:
    ///   - precision: how products are computed; `exact` is the reference.
    ///   - threads: threads to compute with; nil takes the processors this process may use.
    ///   - memory: bytes for the weights and all that is computed with them; a model whose weights are more than half of it
    ///     is read from disk once per pass, layer after layer. nil: whatever it takes.
    /// - Throws: `ModelError` where the engine has no kernel for one of the checkpoint's types, no products of this
    ///   precision on this processor, or for more than `mostThreads` threads.
    public init(
        _ checkpoint: Checkpoint, precision: Precision = .fast, threads: Int? = nil, memory: Int? = nil
    ) throws(ModelError) {
        if let threads, threads > Self.mostThreads {
            throw .unsupported("threads: expected 1 to \(Self.mostThreads), found \(threads)")
        }
        if let objection = Backend.objection(to: precision) { throw .unsupported(objection) }
        self.checkpoint = checkpoint
        self.precision = precision
        config = checkpoint.config
        backend = Backend(pool: threads.map { ThreadPool(threadCount: $0) } ?? ThreadPool(), precision: precision)
        weights = try Weights(checkpoint.tensors, config)
        noHooks = ResolvedHooks(plan: .none, layerCount: config.layerCount, headCount: config.attention.headCount)
        stream = WeightStream(checkpoint.tensors, budget: memory)
    }

    /// The rotary table with room for this many positions; made anew, longer, when a text outgrows it.
    /// - Parameter isLong: as `RotaryTable.isLong` says of the whole text, of which more rows may follow.
    func rotaryTable(positions: Int, isLong: Bool) -> RotaryTable {
        if let table = rotary[isLong], table.positions >= positions { return table }
        let table = RotaryTable(config, positions: min(config.contextLength, max(positions * 2, 512)), isLong: isLong)
        rotary[isLong] = table
        return table
    }

    /// More threads than any machine has processors only cost memory.
    public static let mostThreads = 1024

    public var threadCount: Int { backend.pool.threadCount }

    /// Name of the instruction set the kernels use.
    public static var instructionSet: String { Backend.instructionSet }

    /// The precisions that this processor has products for.
    public static var precisions: [Precision] { Precision.allCases.filter { Backend.objection(to: $0) == nil } }

    /// Runs `body` with another instruction set on the calling thread, and on threads that work for it: for tests.
    /// - Returns: nil where the processor does not have it.
    package static func withInstructionSet<R>(_ name: String, _ body: () throws -> R) rethrows -> R? {
        try Backend.withInstructionSet(name, body)
    }
}
