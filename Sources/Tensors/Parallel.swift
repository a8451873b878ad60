import Foundation

/// Runs independent pieces of work on several threads. Which thread runs what does not matter to any result: every
/// piece writes to places of its own.
package enum Parallel {
    /// Calls `body` once for each of `count` indices, at most `threads` at a time.
    package static func forEach(_ count: Int, threads: Int?, _ body: @Sendable (Int) -> Void) {
        let workers = max(1, min(count, threads ?? ProcessInfo.processInfo.activeProcessorCount))
        guard workers > 1 else {
            for index in 0..<count { body(index) }
            return
        }
        Forks.perform(workers) { worker in
            // Strided, so that work that grows with the index is spread too.
            for index in stride(from: worker, to: count, by: workers) { body(index) }
        }
    }

    /// Rows of `width` numbers, each computed by itself: [count, width].
    package static func rows(
        _ count: Int, width: Int, threads: Int?, _ body: @Sendable (Int, UnsafeMutableBufferPointer<Double>) -> Void
    ) -> [Double] {
        [Double](unsafeUninitializedCapacity: count * width) { buffer, initialized in
            buffer.initialize(repeating: 0)
            nonisolated(unsafe) let rows = buffer
            forEach(count, threads: threads) { row in
                body(row, UnsafeMutableBufferPointer(rebasing: rows[row * width..<(row + 1) * width]))
            }
            initialized = count * width
        }
    }
}
