import Foundation
import Synchronization
import Tensors

/// Threads that run the same loop together, again and again, without sleeping between two short loops.
///
/// Tasks are handed out by an atomic counter, so uneven tasks even out. The calling thread works too: a pool of n
/// threads starts n − 1. Workers spin for a while after a loop, because the next one usually follows within
/// microseconds, then sleep until called. In a process that `fork` made, the next loop starts new threads.
public final class ThreadPool: @unchecked Sendable {
    public let threadCount: Int
    /// A task's work: what all tasks share, which task, and on which thread.
    typealias Task = @convention(c) (_ context: UnsafeRawPointer, _ task: Int, _ thread: Int) -> Void

    private let crew: RemadeAfterFork<Shared>

    private final class Shared: @unchecked Sendable {
        let generation = Atomic<Int>(0)
        let nextTask = Atomic<Int>(0)
        let running = Atomic<Int>(0)
        let sleeping = Atomic<Int>(0)
        let stopped = Atomic<Bool>(false)
        var taskCount = 0
        var body: Task?
        var context: UnsafeRawPointer?
        let wake = NSCondition()
        /// Held by the caller whose loop runs.
        let caller = NSLock()

        /// Starts threads 1 to `threadCount` − 1; thread 0 is the caller's own.
        func start(threadCount: Int) {
            for thread in 1..<max(2, threadCount) where threadCount > 1 {
                let worker = Thread { self.workerLoop(thread: thread) }
                worker.name = "moescope \(thread)"
                worker.stackSize = 1 << 20
                worker.start()
            }
        }

        func work(thread: Int) {
            guard let body, let context else { return }
            let count = taskCount
            while true {
                let task = nextTask.wrappingAdd(1, ordering: .relaxed).oldValue
                if task >= count { return }
                body(context, task, thread)
            }
        }

        func workerLoop(thread: Int) {
            var seen = 0
            while true {
                var spins = 0
                while generation.load(ordering: .acquiring) == seen {
                    spins += 1
                    if spins > 20_000 { sleepUntilCalled(after: seen) }
                }
                seen = generation.load(ordering: .acquiring)
                if stopped.load(ordering: .acquiring) { return }
                work(thread: thread)
                running.wrappingSubtract(1, ordering: .acquiringAndReleasing)
            }
        }

        private func sleepUntilCalled(after seen: Int) {
            wake.lock()
            sleeping.wrappingAdd(1, ordering: .sequentiallyConsistent)
            while generation.load(ordering: .sequentiallyConsistent) == seen { wake.wait() }
            sleeping.wrappingSubtract(1, ordering: .sequentiallyConsistent)
            wake.unlock()
        }

        func call() {
            generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
            if sleeping.load(ordering: .sequentiallyConsistent) > 0 {
                wake.lock()
                wake.broadcast()
                wake.unlock()
            }
        }
    }

    /// - Parameter threadCount: at least 1; by default the processors this process may use.
    public init(threadCount: Int = ProcessInfo.processInfo.activeProcessorCount) {
        let count = max(1, threadCount)
        self.threadCount = count
        crew = RemadeAfterFork {
            let shared = Shared()
            shared.start(threadCount: count)
            return shared
        }
    }

    deinit {
        guard let shared = crew.made else { return }
        shared.stopped.store(true, ordering: .releasing)
        shared.call()
    }

    /// Runs `body(task, thread)` for every task in 0..<count and returns when all have ended.
    ///
    /// `thread` is 0..<threadCount, for scratch memory. Loops of two callers are run one after the other. `body` must
    /// not call `run` of the same pool.
    public func run(_ count: Int, _ body: (_ task: Int, _ thread: Int) -> Void) {
        if threadCount == 1 || count <= 1 {
            for task in 0..<max(0, count) { body(task, 0) }
            return
        }
        withoutActuallyEscaping(body) { body in
            withUnsafePointer(to: body) { context in
                run(count, context: context) { context, task, thread in
                    context.assumingMemoryBound(to: ((Int, Int) -> Void).self).pointee(task, thread)
                }
            }
        }
    }

    /// The same without a closure, and so without an allocation: `body` gets `context`, which must stay where it is
    /// until the loop has ended.
    func run(_ count: Int, context: UnsafeRawPointer, _ body: Task) {
        if threadCount == 1 || count <= 1 {
            for task in 0..<max(0, count) { body(context, task, 0) }
            return
        }
        let shared = crew.current
        shared.caller.lock()
        defer { shared.caller.unlock() }
        (shared.body, shared.context) = (body, context)
        shared.taskCount = count
        shared.nextTask.store(0, ordering: .relaxed)
        shared.running.store(threadCount - 1, ordering: .relaxed)
        shared.call()
        shared.work(thread: 0)
        var spins = 0
        while shared.running.load(ordering: .acquiring) > 0 {
            spins += 1
            // A worker that has lost its processor to another program needs ours to get on.
            if spins > 5_000 { sched_yield() }
        }
        (shared.body, shared.context) = (nil, nil)
    }
}
