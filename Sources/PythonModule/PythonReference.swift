import CPython

/// A Python object, borrowed unless a comment says otherwise.
typealias PythonObject = UnsafeMutablePointer<PyObject>

/// An owned reference: given back when it goes out of scope, so no path can leak it.
struct PythonReference: ~Copyable {
    let object: PythonObject

    /// Takes over a new reference as the C API returns it.
    /// - Throws: `PythonError.raised` where it is nil: an exception is set.
    init(_ new: PythonObject?) throws(PythonError) {
        guard let new else { throw .raised }
        object = new
    }

    /// Adds a reference to a borrowed object.
    init(borrowing object: PythonObject) {
        Py_IncRef(object)
        self.object = object
    }

    /// Gives the reference to the caller, who must give it back.
    consuming func release() -> PythonObject {
        let object = object
        discard self
        return object
    }

    deinit { Py_DecRef(object) }
}

/// What our functions throw on the way to Python.
enum PythonError: Error {
    /// A Python exception is set already.
    case raised
    case value(String)
    case type(String)
    case key(String)
    case buffer(String)
    case runtime(String)
    case fileNotFound(String)
    case os(String)
    case checkpoint(String)
    case trace(String)
    case tokenizer(String)
}

/// Conversions to Python. Each returns a new reference, or throws with an exception set.
enum ToPython {
    static func none() -> PythonObject { moescope_none() }
    static func bool(_ value: Bool) -> PythonObject { moescope_bool(value ? 1 : 0) }

    static func int(_ value: Int) throws(PythonError) -> PythonReference {
        try PythonReference(PyLong_FromLongLong(Int64(value)))
    }

    static func float(_ value: Double) throws(PythonError) -> PythonReference {
        try PythonReference(PyFloat_FromDouble(value))
    }

    static func string(_ value: String) throws(PythonError) -> PythonReference {
        var value = value
        return try PythonReference(
            value.withUTF8 { text in
                text.withMemoryRebound(to: CChar.self) {
                    PyUnicode_FromStringAndSize($0.baseAddress, $0.count)
                }
            })
    }

    static func bytes(_ value: [UInt8]) throws(PythonError) -> PythonReference {
        try PythonReference(
            value.withUnsafeBytes { bytes in
                PyBytes_FromStringAndSize(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
            })
    }

    static func tuple(_ values: [Int]) throws(PythonError) -> PythonReference {
        let tuple = try PythonReference(PyTuple_New(values.count))
        for (index, value) in values.enumerated() {
            // The tuple takes the item over, also where it fails.
            guard PyTuple_SetItem(tuple.object, index, try int(value).release()) == 0 else { throw .raised }
        }
        return tuple
    }

    static func list(
        count: Int, _ item: (Int) throws(PythonError) -> PythonObject
    ) throws(PythonError) -> PythonReference {
        let list = try PythonReference(PyList_New(count))
        for index in 0..<count {
            guard PyList_SetItem(list.object, index, try item(index)) == 0 else { throw .raised }
        }
        return list
    }
}

/// Conversions from Python, with an exception that names the argument where the type is wrong.
enum FromPython {
    /// No bool, which Python counts among the integers, and no float.
    static func int(_ object: PythonObject, _ name: String) throws(PythonError) -> Int {
        guard moescope_is_bool(object) == 0 else { throw .type("\(name): expected an integer, found bool") }
        let value = PyLong_AsLongLong(object)
        if value == -1, PyErr_Occurred() != nil {
            PyErr_Clear()
            throw .type("\(name): expected an integer, found \(typeName(object))")
        }
        return Int(value)
    }

    static func double(_ object: PythonObject, _ name: String) throws(PythonError) -> Double {
        let value = PyFloat_AsDouble(object)
        if value == -1, PyErr_Occurred() != nil {
            PyErr_Clear()
            throw .type("\(name): expected a number, found \(typeName(object))")
        }
        return value
    }

    static func bool(_ object: PythonObject) throws(PythonError) -> Bool {
        let value = PyObject_IsTrue(object)
        if value < 0 { throw .raised }
        return value == 1
    }

    static func string(_ object: PythonObject, _ name: String) throws(PythonError) -> String {
        guard moescope_is_str(object) != 0 else {
            throw .type("\(name): expected str, found \(typeName(object))")
        }
        var length = 0
        guard let text = PyUnicode_AsUTF8AndSize(object, &length) else { throw .raised }
        return String(
            decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
    }

    /// nil for None.
    static func optional<T>(
        _ object: PythonObject, _ convert: (PythonObject) throws(PythonError) -> T
    ) throws(PythonError) -> T? {
        moescope_is_none(object) != 0 ? nil : try convert(object)
    }

    /// Longest sequence that is read: a `range` can be longer than any memory.
    static let longestList = 1 << 24

    /// Items of any sequence but texts and bytes, whose items are not what is meant.
    static func list<T>(
        _ object: PythonObject, _ name: String, longest: Int = longestList,
        _ convert: (PythonObject) throws(PythonError) -> T
    ) throws(PythonError) -> [T] {
        let count = moescope_is_text(object) != 0 ? -1 : PySequence_Size(object)
        guard count >= 0 else {
            if PyErr_Occurred() != nil, PyErr_ExceptionMatches(moescope_OverflowError()) != 0 {
                PyErr_Clear()
                throw .value("\(name): expected at most \(longest) items, found more than 2⁶³")
            }
            PyErr_Clear()
            throw .type("\(name): expected a sequence, found \(typeName(object))")
        }
        guard count <= longest else { throw .value("\(name): expected at most \(longest) items, found \(count)") }
        var items: [T] = []
        items.reserveCapacity(min(count, 1 << 20))
        for index in 0..<count {
            let item = try PythonReference(PySequence_GetItem(object, index))
            items.append(try convert(item.object))
        }
        return items
    }

    static func typeName(_ object: PythonObject) -> String {
        guard let name = PyType_GetName(moescope_type(object)) else {
            PyErr_Clear()
            return "an object"
        }
        defer { Py_DecRef(name) }
        return (try? string(name, "")) ?? "an object"
    }
}

/// Puts a value into a dict, which adds a reference of its own.
func set(
    _ dictionary: borrowing PythonReference, _ key: String, _ value: borrowing PythonReference
) throws(PythonError) {
    guard PyDict_SetItemString(dictionary.object, key, value.object) == 0 else { throw .raised }
}

extension PythonObject {
    /// Calls it with integers, and lets go of what it returns.
    func called(with counts: [Int]) throws(PythonError) {
        let arguments = try ToPython.tuple(counts)
        _ = try PythonReference(PyObject_Call(self, arguments.object, nil))
    }
}
