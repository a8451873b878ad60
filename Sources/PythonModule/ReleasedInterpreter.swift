import CMappedFiles
import CPython
import FileFormats
import Foundation
import Synchronization

/// Lets other Python threads run while the engine computes, and takes the interpreter back for callbacks.
///
/// Belongs to the one thread that called us.
final class ReleasedInterpreter {
    private var state: OpaquePointer?
    private var lastCheck = ContinuousClock.now

    /// Runs `body` without the interpreter lock.
    static func run<R>(_ body: (ReleasedInterpreter) throws -> R) throws(PythonError) -> R {
        let interpreter = ReleasedInterpreter()
        interpreter.state = PyEval_SaveThread()
        let faults = moescope_map_faults()
        let result = Result { try body(interpreter) }
        PyEval_RestoreThread(interpreter.state)
        return try translating {
            let result = try result.get()
            // A file that was cut short while it was read has given zeros. What an earlier call met with, it has told.
            if moescope_map_faults() != faults { try MappedFile.check() }
            return result
        }
    }

    /// Runs `body` without the interpreter lock on a thread of its own, and asks Python every 50 ms whether to go on.
    ///
    /// - Parameter body: may not touch Python. It asks `Cancellation.isSet` now and then, at the latest before it writes its last
    ///   file; where it does not ask for long, it is left behind, and what it computes is given up.
    static func runInterruptibly<R>(_ body: @escaping @Sendable (Cancellation) throws -> R) throws(PythonError) -> R {
        let work = BackgroundWork(body)
        return try run { interpreter in
            work.start()
            while !work.wait(milliseconds: 50) {
                guard interpreter.isInterrupted else { continue }
                work.cancellation.set()
                _ = work.wait(milliseconds: 400)
                throw PythonError.raised
            }
            return try work.result()
        }
    }

    /// Runs `body` with the lock, from inside `run`, on its thread.
    func locked<R, Failure: Error>(_ body: () throws(Failure) -> R) throws(Failure) -> R {
        PyEval_RestoreThread(state)
        defer { state = PyEval_SaveThread() }
        return try body()
    }

    /// Lets Python's signal handlers run, so that Ctrl-C ends a computation.
    ///
    /// Costs one look at the clock; the lock is taken at most every 50 ms, because another thread may hold it.
    /// - Throws: `PythonError.raised` where a handler raised: KeyboardInterrupt.
    func checkSignals() throws(PythonError) {
        let now = ContinuousClock.now
        guard now - lastCheck > .milliseconds(50) else { return }
        lastCheck = now
        let status = locked { PyErr_CheckSignals() }
        if status != 0 { throw .raised }
    }

    /// Whether `checkSignals` would throw, for code that asks instead of catching.
    var isInterrupted: Bool {
        do throws(PythonError) {
            try checkSignals()
            return false
        } catch {
            return true
        }
    }
}

/// Tells a computation to stop.
final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    fileprivate func set() { flag.store(true, ordering: .relaxed) }
    func check() throws(CancellationError) { if isSet { throw CancellationError() } }
}

/// A computation on a thread of its own.
private final class BackgroundWork<R>: @unchecked Sendable {
    let cancellation = Cancellation()
    private let body: @Sendable (Cancellation) throws -> R
    private let done = DispatchSemaphore(value: 0)
    /// Written before `done` is signalled, read after.
    private var outcome: Result<R, any Error>?

    init(_ body: @escaping @Sendable (Cancellation) throws -> R) { self.body = body }

    func start() {
        let thread = Thread { [self] in
            outcome = Result { try body(cancellation) }
            done.signal()
        }
        // As much as a process's first thread.
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Whether it has ended.
    func wait(milliseconds: Int) -> Bool { done.wait(timeout: .now() + .milliseconds(milliseconds)) == .success }

    /// - Precondition: `wait` has said that it has ended.
    func result() throws -> R {
        guard let outcome else { throw CancellationError() }
        return try outcome.get()
    }
}
