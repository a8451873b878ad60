import Foundation
import Traces

/// Puts one wave on disk while the next one computes; at most one, so that records take the memory of two waves.
final class BackgroundWriter: @unchecked Sendable {
    private let writer: TraceWriter
    private let queue = DispatchQueue(label: "moescope.trace-writer")
    /// Touched on the queue, or after waiting for it.
    private var error: (any Error)?

    init(_ writer: TraceWriter) { self.writer = writer }

    /// Starts writing a shard, once the one before it is on disk.
    /// - Throws: what writing the one before threw.
    func append(_ shard: TraceShard) throws {
        try finish()
        queue.async {
            do { try self.writer.append(shard) } catch { self.error = error }
        }
    }

    /// Waits for the last shard; throws as `append`.
    func finish() throws {
        wait()
        if let error { throw error }
    }

    /// Waits until nothing is being written.
    func wait() { queue.sync {} }
}
