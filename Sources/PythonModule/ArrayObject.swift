import CPython
import Tensors

/// `moescope.Array`: the buffer protocol, NumPy's array interface and DLPack over one piece of memory, without a copy.
enum ArrayObject {
    static func makeType() throws(PythonError) -> NativeType<ArrayStorage> {
        let getBuffer: @convention(c) (PythonObject?, UnsafeMutablePointer<Py_buffer>?, Int32) -> Int32 = {
            object, view, flags in
            guard let object, let view else { return -1 }
            view.pointee.obj = nil
            return raising { () throws(PythonError) in try ArrayObject.fill(&view.pointee, from: object, flags: flags) }
                ? 0 : -1
        }
        let length: @convention(c) (PythonObject?) -> Int = { object in
            guard let object else { return -1 }
            return types.array.payload(ofSelf: object).shape.first ?? 1
        }
        let represent: @convention(c) (PythonObject?) -> PythonObject? = { object in
            answering { () throws(PythonError) in
                let array = try types.array.payload(of: object)
                return try ToPython.string(
                    "<moescope.Array \(array.dtype.numpyName) \(array.shape)\(array.isReadOnly ? " read-only" : "")>"
                ).release()
            }
        }
        return try NativeType(
            name: "moescope.Array",
            doc: """
                Memory of the engine, seen without a copy and kept alive for as long as anyone looks.

                Speaks the buffer protocol, __array_interface__ and DLPack: numpy.asarray(a), torch.from_dlpack(a), memoryview(a).
                """,
            methods: [
                MethodEntry(
                    keywords: "__dlpack__", "__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)"
                ) { object, _, keywords in
                    answering { () throws(PythonError) in
                        try ArrayObject.dlpackCapsule(try types.array.payload(of: object), keywords: keywords)
                    }
                },
                MethodEntry("__dlpack_device__", "The CPU: (1, 0).") { _, _, _ in
                    answering { () throws(PythonError) in try ToPython.tuple([1, 0]).release() }
                },
            ],
            getters: [
                (
                    "shape", "Entries along each axis.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.tuple(try types.array.payload(of: object).shape).release()
                        }
                    }
                ),
                (
                    "dtype", "NumPy's name of the element type.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.string(try types.array.payload(of: object).dtype.numpyName).release()
                        }
                    }
                ),
                (
                    "nbytes", "Size in bytes.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.int(try types.array.payload(of: object).byteCount).release()
                        }
                    }
                ),
                (
                    "readonly", "Whether writing is refused.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            ToPython.bool(try types.array.payload(of: object).isReadOnly)
                        }
                    }
                ),
                (
                    "__array_interface__", "NumPy's array interface, version 3.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ArrayObject.arrayInterface(try types.array.payload(of: object)).release()
                        }
                    }
                ),
            ],
            slots: [
                PyType_Slot(Py_bf_getbuffer, getBuffer),
                PyType_Slot(Py_sq_length, length),
                PyType_Slot(Py_tp_repr, represent),
            ])
    }

    private static func fill(
        _ view: inout Py_buffer, from object: PythonObject, flags: Int32
    ) throws(PythonError) {
        let array = types.array.payload(ofSelf: object)
        func asks(_ flag: Int) -> Bool { Int(flags) & flag == flag }
        if array.isReadOnly, asks(MoescopeBufferWritable) { throw .buffer("the array is read-only") }
        if asks(MoescopeBufferColumnMajor), !asks(MoescopeBufferRowMajor), array.shape.count > 1 {
            throw .buffer("the array is row-major")
        }
        view.buf = array.memory
        view.len = array.byteCount
        view.itemsize = array.dtype.blockBytes
        view.readonly = array.isReadOnly ? 1 : 0
        view.ndim = asks(MoescopeBufferShape) ? Int32(array.shape.count) : 1
        view.format =
            asks(MoescopeBufferFormat)
            ? UnsafeMutablePointer(mutating: MethodEntry.literal(array.dtype.bufferFormat)) : nil
        view.shape = asks(MoescopeBufferShape) ? array.shapePointer : nil
        view.strides = asks(MoescopeBufferStrides) ? array.byteStrides : nil
        view.suboffsets = nil
        view.internal = nil
        Py_IncRef(object)
        view.obj = object
    }

    private static func arrayInterface(_ array: ArrayStorage) throws(PythonError) -> PythonReference {
        let dictionary = try PythonReference(PyDict_New())
        let pointer = try PythonReference(PyLong_FromVoidPtr(array.memory))
        let data = try PythonReference(PyTuple_New(2))
        guard PyTuple_SetItem(data.object, 0, pointer.release()) == 0,
            PyTuple_SetItem(data.object, 1, ToPython.bool(array.isReadOnly)) == 0
        else { throw .raised }
        try set(dictionary, "data", data)
        try set(dictionary, "shape", try ToPython.tuple(array.shape))
        try set(dictionary, "typestr", try ToPython.string(array.dtype.arrayInterfaceType))
        try set(dictionary, "version", try ToPython.int(3))
        return dictionary
    }
}
