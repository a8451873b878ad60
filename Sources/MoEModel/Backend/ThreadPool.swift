import CKernels
import Foundation
import Synchronization
import Tensors

/// Threads that run the same loop together, again and again, without sleeping between two short loops.
///
/// Tasks are handed out one by one, so uneven tasks even out. The calling thread works too: a pool of n threads starts
/// n − 1. A loop ends when its tasks have ended: nobody waits for a thread that has taken none, because another program may
/// hold that thread's processor for milliseconds, hundreds of times what a task of a decoded token takes. Who waits spins
/// for a while, because the next loop usually follows within microseconds, then sleeps: spinning on, or yielding, would
/// spend this process's share of the processor on nothing. In a process that `fork` made, the next loop starts new threads.
public final class ThreadPool: @unchecked Sendable {
    public let threadCount: Int
    /// A task's work: what all tasks share, which task, and on which thread.
    typealias Task = @convention(c) (_ context: UnsafeRawPointer, _ task: Int, _ thread: Int) -> Void

    private let crew: RemadeAfterFork<Shared>

    private final class Shared: @unchecked Sendable {
        /// Turns of waiting before sleeping, each of some tens of nanoseconds: about forty microseconds for a worker that has no
        /// loop, fifteen for a caller whose loop is nearly done. Less time goes by between most loops of a pass: a quarter as many
        /// made decoding of a small model an eighth slower, and twice as many made it slower beside busy programs.
        private static let idleSpins = 800
        private static let finishSpins = 300

        /// Number of the loop in the upper half, tasks that nobody has taken yet in the lower half. A task is taken by
        /// lowering it by one, so that it is taken of the loop whose number was seen and of no later one.
        let loop = Atomic<UInt64>(0)
        /// Tasks that have not ended.
        let pending = Atomic<Int>(0)
        /// Whether a worker has gone to sleep since workers were last woken, and whether the caller sleeps.
        let workersSleep = Atomic<Bool>(false)
        let callerSleeps = Atomic<Bool>(false)
        let stopped = Atomic<Bool>(false)
        // What a loop does. A thread that has taken a task reads them: the loop cannot end before it.
        var taskCount = 0
        var body: Task?
        var context: UnsafeRawPointer?
        /// The instruction set that the caller has chosen for itself.
        var instructions: UnsafeRawPointer?
        let wake = NSCondition()
        let finished = NSCondition()
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

        /// Tasks of a loop's word that nobody has taken.
        private static func open(_ word: UInt64) -> Int { Int(word & 0xFFFF_FFFF) }

        /// Takes tasks and does them until there are none.
        func work(thread: Int) {
            var word = loop.load(ordering: .acquiring)
            while Self.open(word) > 0 {
                let (taken, seen) = loop.weakCompareExchange(
                    expected: word, desired: word - 1, ordering: .acquiringAndReleasing)
                guard taken else {
                    word = seen
                    continue
                }
                guard let body, let context else { return }
                if thread > 0 { ck_isa_choose(instructions) }
                body(context, taskCount - Self.open(word), thread)
                if pending.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue == 0 { wakeCaller() }
                word = loop.load(ordering: .acquiring)
            }
        }

        func workerLoop(thread: Int) {
            var spins = 0
            while !stopped.load(ordering: .acquiring) {
                if Self.open(loop.load(ordering: .acquiring)) > 0 {
                    work(thread: thread)
                    spins = 0
                } else if spins < Self.idleSpins {
                    spins += 1
                    ck_pause()
                } else {
                    sleepUntilCalled()
                    spins = 0
                }
            }
        }

        private func sleepUntilCalled() {
            wake.lock()
            // Said before the loop is looked at again, and the caller looks after it has said that there is a loop.
            workersSleep.store(true, ordering: .sequentiallyConsistent)
            while Self.open(loop.load(ordering: .sequentiallyConsistent)) == 0,
                !stopped.load(ordering: .sequentiallyConsistent)
            {
                wake.wait()
                workersSleep.store(true, ordering: .sequentiallyConsistent)
            }
            wake.unlock()
        }

        /// Workers are woken once for a sleep: those that have been and have no processor yet are not called again.
        private func wakeWorkers() {
            guard workersSleep.exchange(false, ordering: .sequentiallyConsistent) else { return }
            wake.lock()
            wake.broadcast()
            wake.unlock()
        }

        private func wakeCaller() {
            guard callerSleeps.load(ordering: .sequentiallyConsistent) else { return }
            finished.lock()
            finished.broadcast()
            finished.unlock()
        }

        /// Begins a loop.
        func call(_ count: Int) {
            taskCount = count
            pending.store(count, ordering: .sequentiallyConsistent)
            let number = (loop.load(ordering: .relaxed) >> 32) &+ 1
            loop.store(number << 32 | UInt64(count), ordering: .sequentiallyConsistent)
            wakeWorkers()
        }

        /// Returns when every task has ended.
        func waitUntilFinished() {
            var spins = 0
            while pending.load(ordering: .acquiring) > 0 {
                spins += 1
                guard spins > Self.finishSpins else {
                    ck_pause()
                    continue
                }
                finished.lock()
                callerSleeps.store(true, ordering: .sequentiallyConsistent)
                while pending.load(ordering: .sequentiallyConsistent) > 0 { finished.wait() }
                callerSleeps.store(false, ordering: .sequentiallyConsistent)
                finished.unlock()
            }
        }

        func stop() {
            stopped.store(true, ordering: .sequentiallyConsistent)
            wakeWorkers()
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
        shared.stop()
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
        (shared.body, shared.context, shared.instructions) = (body, context, ck_isa_choice())
        shared.call(count)
        shared.work(thread: 0)
        shared.waitUntilFinished()
        (shared.body, shared.context) = (nil, nil)
    }
}
