import CPython
import Hooks
import Tensors

/// Lets Python callables change values in the middle of a pass.
///
/// A callable gets an array of its own and what it leaves there is copied back: 2 copies, and a callable that keeps
/// its array can never touch the engine's memory later.
final class CallbackEditor: HookEditor {
    /// Borrowed from the caller, who holds them for as long as the pass runs.
    private let callables: [HookPoint: [PythonObject]]
    private let interpreter: ReleasedInterpreter
    private let expertCount: Int

    init(_ callables: [HookPoint: [PythonObject]], interpreter: ReleasedInterpreter, expertCount: Int) {
        self.callables = callables
        self.interpreter = interpreter
        self.expertCount = expertCount
    }

    func edit(_ point: HookPoint, _ value: borrowing EditableHookValue) throws {
        guard let callables = callables[point] else { return }
        let dtype = value.value.dtype
        let array = ArrayStorage(uninitialized: dtype, shape: value.value.shape)
        let document = value.value.document
        let byteCount = array.byteCount
        if dtype == .i32 {
            value.withMutableIndices { Self.copy(from: UnsafeRawPointer($0.baseAddress), to: array.memory, byteCount) }
        } else {
            value.withMutableFloats { Self.copy(from: UnsafeRawPointer($0.baseAddress), to: array.memory, byteCount) }
        }
        let hadNaN = Self.firstNaN(array) != nil
        try interpreter.locked { () throws(PythonError) in
            for callable in callables {
                try call(callable, point, array, document: document)
            }
        }
        if dtype == .i32 {
            try checkExperts(array, point)
            value.withMutableIndices {
                Self.copy(from: array.memory, to: UnsafeMutableRawPointer($0.baseAddress), byteCount)
            }
        } else {
            if !hadNaN, let place = Self.firstNaN(array) {
                throw PythonError.value("\(point): the edit put NaN at element \(place) of \(array.shape)")
            }
            value.withMutableFloats {
                Self.copy(from: array.memory, to: UnsafeMutableRawPointer($0.baseAddress), byteCount)
            }
        }
    }

    /// `callable(array, name, document or None)`.
    private func call(
        _ callable: PythonObject, _ point: HookPoint, _ array: ArrayStorage, document: Int?
    ) throws(PythonError) {
        let value = try types.array.make(array)
        let name = try ToPython.string(point.description)
        let number =
            if let document { try ToPython.int(document) } else { try PythonReference(ToPython.none()) }
        let arguments = try PythonReference(PyTuple_New(3))
        guard PyTuple_SetItem(arguments.object, 0, value.release()) == 0,
            PyTuple_SetItem(arguments.object, 1, name.release()) == 0,
            PyTuple_SetItem(arguments.object, 2, number.release()) == 0
        else { throw .raised }
        _ = try PythonReference(PyObject_Call(callable, arguments.object, nil))
    }

    /// What follows from a NaN would be blamed on the weights, or on a layer far behind the edit.
    private static func firstNaN(_ array: ArrayStorage) -> Int? {
        guard array.dtype == .f32 else { return nil }
        let values = UnsafeBufferPointer(start: array.memory.assumingMemoryBound(to: Float.self), count: array.count)
        return values.firstIndex(where: \.isNaN)
    }

    /// An expert that does not exist would be read from memory that is not there.
    private func checkExperts(_ array: ArrayStorage, _ point: HookPoint) throws(PythonError) {
        let values = UnsafeBufferPointer(start: array.memory.assumingMemoryBound(to: Int32.self), count: array.count)
        for value in values where value < 0 || Int(value) >= expertCount {
            throw .value("\(point): the edit chose expert \(value); the model has experts 0 to \(expertCount - 1)")
        }
    }

    private static func copy(
        from source: UnsafeRawPointer?, to target: UnsafeMutableRawPointer?, _ byteCount: Int
    ) {
        if let source, let target { target.copyMemory(from: source, byteCount: byteCount) }
    }
}
