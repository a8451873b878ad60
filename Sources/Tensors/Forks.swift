import Dispatch
import Foundation
import Synchronization

/// How many times `fork` has led to this process since the program started: 0 in the first, one more in every child.
package enum Forks {
    private static let counter = Atomic<Int>(0)

    /// Asks the system, once, to be told in the child.
    private static let isWatching: Bool = {
        pthread_atfork(nil, nil) { Forks.counter.wrappingAdd(1, ordering: .releasing) } == 0
    }()

    package static var count: Int {
        _ = isWatching
        return counter.load(ordering: .acquiring)
    }

    /// Calls `body` once for each index, on several threads at once. In a child of `fork`, where Dispatch waits for threads that
    /// are not there, one after the other.
    package static func perform(_ iterations: Int, _ body: @Sendable (Int) -> Void) {
        if count == 0 {
            DispatchQueue.concurrentPerform(iterations: iterations, execute: body)
        } else {
            for index in 0..<iterations { body(index) }
        }
    }
}

/// What a child of `fork` cannot use and must make for itself: threads, of which it has none but the one that called `fork`,
/// and locks, which one of the others may have held.
package final class RemadeAfterFork<Value>: @unchecked Sendable {
    private let make: () -> Value
    private var value: Value
    /// `Forks.count` when the value was made; -1 while it is made anew.
    private let madeAt: Atomic<Int>

    package init(_ make: @escaping () -> Value) {
        self.make = make
        madeAt = Atomic(Forks.count)
        value = make()
    }

    /// The value, made anew if this is another process than it was made in. The first caller makes it; others wait.
    package var current: Value {
        let now = Forks.count
        let before = madeAt.load(ordering: .acquiring)
        if before == now { return value }
        if before >= 0,
            madeAt.compareExchange(expected: before, desired: -1, ordering: .acquiringAndReleasing).exchanged
        {
            value = make()
            madeAt.store(now, ordering: .releasing)
        } else {
            while madeAt.load(ordering: .acquiring) != now { sched_yield() }
        }
        return value
    }

    /// The value where this process has made it; nil in a child that has not asked for it.
    package var made: Value? { madeAt.load(ordering: .acquiring) == Forks.count ? value : nil }
}
