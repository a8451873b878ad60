import CPython

/// Runs a function's body and turns what it throws into a Python exception.
func answering(_ body: () throws(PythonError) -> PythonObject) -> PythonObject? {
    do {
        return try body()
    } catch {
        raise(error)
        return nil
    }
}

/// As `answering`, for functions that return a status.
func raising(_ body: () throws(PythonError) -> Void) -> Bool {
    do {
        try body()
        return true
    } catch {
        raise(error)
        return false
    }
}

private func raise(_ error: PythonError) {
    switch error {
    case .raised:
        // A C function that failed without saying why would surface as a puzzling SystemError.
        if PyErr_Occurred() == nil { PyErr_SetString(moescope_RuntimeError(), "an unknown error") }
    case .value(let message): PyErr_SetString(moescope_ValueError(), message)
    case .type(let message): PyErr_SetString(moescope_TypeError(), message)
    case .key(let message): PyErr_SetString(moescope_KeyError(), message)
    case .buffer(let message): PyErr_SetString(moescope_BufferError(), message)
    case .runtime(let message): PyErr_SetString(moescope_RuntimeError(), message)
    case .fileNotFound(let message): PyErr_SetString(moescope_FileNotFoundError(), message)
    case .os(let message): PyErr_SetString(moescope_OSError(), message)
    case .checkpoint(let message): PyErr_SetString(types.checkpointError, message)
    case .trace(let message): PyErr_SetString(types.traceError, message)
    case .tokenizer(let message): PyErr_SetString(types.tokenizerError, message)
    }
}

/// Positional arguments of a function, checked for their number.
struct Arguments {
    private let values: UnsafePointer<PythonObject?>?
    let count: Int

    init(
        _ values: UnsafePointer<PythonObject?>?, _ count: Int, expected: ClosedRange<Int>
    ) throws(PythonError) {
        guard expected.contains(count) else {
            throw .type("expected \(expected.lowerBound) to \(expected.upperBound) arguments, found \(count)")
        }
        self.values = values
        self.count = count
    }

    /// Borrowed; None where the caller gave fewer.
    subscript(index: Int) -> PythonObject {
        get throws(PythonError) {
            guard index < count, let value = values?[index] else { throw .type("argument \(index + 1) is missing") }
            return value
        }
    }
}
