import Foundation
import Traces

/// Puts one wave on disk while the next one computes; at most one, so that records take the memory of two waves.
///
/// A thread of its own for every wave: queues of Dispatch do not survive a `fork`, and a trace may be written in a child.
final class BackgroundWriter: @unchecked Sendable {
    private let writer: TraceWriter
    private let state = NSCondition()
    /// Both are touched under `state`.
    private var isWriting = false
    private var error: (any Error)?

    init(_ writer: TraceWriter) { self.writer = writer }

    /// Starts writing a shard, once the one before it is on disk.
    /// - Throws: what writing the one before threw.
    func append(_ shard: TraceShard) throws {
        try finish()
        state.withLock { isWriting = true }
        let thread = Thread {
            var found: (any Error)?
            do { try self.writer.append(shard) } catch { found = error }
            self.state.withLock {
                self.error = self.error ?? found
                self.isWriting = false
                self.state.signal()
            }
        }
        thread.name = "moescope trace"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Waits for the last shard; throws as `append`.
    func finish() throws {
        wait()
        if let error = state.withLock({ error }) { throw error }
    }

    /// Waits until nothing is being written.
    func wait() { state.withLock { while isWriting { state.wait() } } }
}
