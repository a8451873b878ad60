import CPython

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
        let result = Result { try body(interpreter) }
        PyEval_RestoreThread(interpreter.state)
        return try translating { try result.get() }
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
