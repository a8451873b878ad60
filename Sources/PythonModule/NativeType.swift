import CPython

/// Functions of the C API as Swift closures without context.
typealias FastFunction = @convention(c) (PythonObject?, UnsafePointer<PythonObject?>?, Int) -> PythonObject?
typealias Getter = @convention(c) (PythonObject?, UnsafeMutableRawPointer?) -> PythonObject?

/// One function or method in a table of them. The strings are literals: they live as long as the process.
struct MethodEntry {
    let name: StaticString
    let function: PyCFunction
    let flags: Int32
    let doc: StaticString

    /// A function that takes positional arguments only; the Python package above names them and gives defaults.
    init(_ name: StaticString, _ doc: StaticString, _ function: FastFunction) {
        self.name = name
        self.function = unsafeBitCast(function, to: PyCFunction.self)
        flags = METH_FASTCALL
        self.doc = doc
    }

    /// A function that takes keywords.
    init(
        keywords name: StaticString, _ doc: StaticString,
        _ function: @convention(c) (PythonObject?, PythonObject?, PythonObject?) -> PythonObject?
    ) {
        self.name = name
        self.function = unsafeBitCast(function, to: PyCFunction.self)
        flags = METH_VARARGS | METH_KEYWORDS
        self.doc = doc
    }

    /// A table that ends with an empty entry. Python keeps pointing at it, so it is never freed.
    static func table(_ entries: [MethodEntry]) -> UnsafeMutablePointer<PyMethodDef> {
        let table = UnsafeMutablePointer<PyMethodDef>.allocate(capacity: entries.count + 1)
        for (index, entry) in entries.enumerated() {
            (table + index).initialize(
                to: PyMethodDef(
                    ml_name: literal(entry.name), ml_meth: entry.function, ml_flags: entry.flags,
                    ml_doc: literal(entry.doc)))
        }
        (table + entries.count).initialize(to: PyMethodDef())
        return table
    }

    static func literal(_ text: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}

/// A Python type whose instances own one Swift object each.
///
/// Instances never own Python objects, so they need no part in garbage collection. Python code cannot make them: they
/// come from our functions.
struct NativeType<Payload: AnyObject>: @unchecked Sendable {
    private let type: OpaquePointer

    /// - Parameters:
    ///   - name: with its module: `moescope.Array`.
    ///   - slots: beyond deallocation, methods and attributes.
    init(
        name: StaticString, doc: StaticString, methods: [MethodEntry] = [],
        getters: [(name: StaticString, doc: StaticString, get: Getter)] = [], slots: [PyType_Slot] = []
    ) throws(PythonError) {
        let getterTable = UnsafeMutablePointer<PyGetSetDef>.allocate(capacity: getters.count + 1)
        for (index, getter) in getters.enumerated() {
            (getterTable + index).initialize(
                to: PyGetSetDef(
                    name: MethodEntry.literal(getter.name), get: getter.get, set: nil,
                    doc: MethodEntry.literal(getter.doc), closure: nil))
        }
        (getterTable + getters.count).initialize(to: PyGetSetDef())
        let deallocate: @convention(c) (PythonObject?) -> Void = { object in
            guard let object else { return }
            let type = moescope_type(object)
            let payload = UnsafeMutableRawPointer(object).assumingMemoryBound(to: MoescopeObject.self).pointee.payload
            if let payload { Unmanaged<AnyObject>.fromOpaque(payload).release() }
            PyObject_Free(object)
            // Instances of heap types hold their type.
            Py_DecRef(PythonObject(type))
        }
        var all = slots
        all.append(PyType_Slot(slot: Py_tp_doc, pfunc: UnsafeMutableRawPointer(mutating: doc.utf8Start)))
        all.append(PyType_Slot(slot: Py_tp_dealloc, pfunc: unsafeBitCast(deallocate, to: UnsafeMutableRawPointer.self)))
        all.append(PyType_Slot(slot: Py_tp_methods, pfunc: UnsafeMutableRawPointer(MethodEntry.table(methods))))
        all.append(PyType_Slot(slot: Py_tp_getset, pfunc: UnsafeMutableRawPointer(getterTable)))
        all.append(PyType_Slot(slot: 0, pfunc: nil))
        let made = all.withUnsafeMutableBufferPointer { slots in
            var spec = PyType_Spec(
                name: MethodEntry.literal(name), basicsize: Int32(MemoryLayout<MoescopeObject>.size), itemsize: 0,
                flags: UInt32(MoescopeTypeFlags), slots: slots.baseAddress)
            return PyType_FromSpec(&spec)
        }
        type = OpaquePointer(try PythonReference(made).release())
    }

    /// The type as an object, borrowed.
    var object: PythonObject { PythonObject(type) }

    /// A new Python object that keeps `payload` alive.
    func make(_ payload: Payload) throws(PythonError) -> PythonReference {
        let instance = try PythonReference(PyType_GenericAlloc(type, 0))
        UnsafeMutableRawPointer(instance.object).assumingMemoryBound(to: MoescopeObject.self).pointee.payload =
            Unmanaged<AnyObject>.passRetained(payload).toOpaque()
        return instance
    }

    /// The Swift object inside a Python object of this type.
    func payload(of object: PythonObject?) throws(PythonError) -> Payload {
        guard let object, moescope_type(object) == type else {
            throw .type("expected \(Payload.self), found \(object.map(FromPython.typeName) ?? "nothing")")
        }
        return payload(ofSelf: object)
    }

    /// As `payload(of:)` where Python has already checked the type: `self` of a method.
    func payload(ofSelf object: PythonObject) -> Payload {
        let instance = UnsafeMutableRawPointer(object).assumingMemoryBound(to: MoescopeObject.self)
        // Only `make` creates instances, and it always sets the payload.
        return unsafeDowncast(
            Unmanaged<AnyObject>.fromOpaque(instance.pointee.payload.unsafelyUnwrapped).takeUnretainedValue(),
            to: Payload.self)
    }
}

extension PyType_Slot {
    init<Function>(_ slot: Int32, _ function: Function) {
        self.init(slot: slot, pfunc: unsafeBitCast(function, to: UnsafeMutableRawPointer.self))
    }
}
