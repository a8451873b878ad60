import CPython
import Traces
import Tracing

/// The types of the module, made once when it is first imported.
struct NativeTypes {
    let array: NativeType<ArrayStorage>
    let table: NativeType<TableStorage>
    let model: NativeType<PythonModel>
    let trace: NativeType<OpenTrace>
    let traceWriter: NativeType<OpenTraceWriter>
    let session: NativeType<GrowingText>
    let corpus: NativeType<GrowingCorpus>
    /// Exceptions; the module holds a reference for as long as the process lives.
    let checkpointError: PythonObject
    let traceError: PythonObject
    let tokenizerError: PythonObject

    fileprivate init() throws(PythonError) {
        array = try ArrayObject.makeType()
        table = try TableObject.makeType()
        model = try ModelObject.makeType()
        trace = try TraceObject.makeType()
        traceWriter = try TraceWriterObject.makeType()
        session = try SessionObject.makeType()
        corpus = try CorpusObject.makeType()
        checkpointError = try PythonReference(
            PyErr_NewExceptionWithDoc(
                "moescope.CheckpointError", "A model's files are damaged, or not what their config says.",
                moescope_ValueError(), nil)
        ).release()
        traceError = try PythonReference(
            PyErr_NewExceptionWithDoc(
                "moescope.TraceError", "A trace is damaged, or exists already.", moescope_ValueError(), nil)
        ).release()
        tokenizerError = try PythonReference(
            PyErr_NewExceptionWithDoc(
                "moescope.TokenizerError", "A tokenizer's files are damaged, or of a kind that is not read.",
                checkpointError, nil)
        ).release()
    }

    fileprivate func add(to module: borrowing PythonReference) throws(PythonError) {
        let named: [(StaticString, PythonObject)] = [
            ("Array", array.object), ("Table", table.object), ("Model", model.object), ("Trace", trace.object),
            ("TraceWriter", traceWriter.object), ("Session", session.object), ("Corpus", corpus.object),
            ("CheckpointError", checkpointError), ("TraceError", traceError),
            ("TokenizerError", tokenizerError),
        ]
        for (name, object) in named {
            guard PyModule_AddObjectRef(module.object, MethodEntry.literal(name), object) == 0 else { throw .raised }
        }
    }
}

/// Written once, under the GIL, before any of our objects exists.
nonisolated(unsafe) private var madeTypes: NativeTypes?

/// - Precondition: the module has been imported; only its own functions ask.
var types: NativeTypes { madeTypes.unsafelyUnwrapped }

/// The entry point Python looks for in `_moescope`, both as a loadable extension and as a built-in module of the
/// embedded interpreter.
@c(PyInit__moescope)
@inline(never)
public func initializeModule() -> UnsafeMutablePointer<PyObject>? {
    answering { () throws(PythonError) in
        let definition = UnsafeMutablePointer<PyModuleDef>.allocate(capacity: 1)
        definition.initialize(to: PyModuleDef())
        moescope_prepare_module(definition)
        definition.pointee.m_name = MethodEntry.literal("_moescope")
        definition.pointee.m_doc = MethodEntry.literal("The engine of moescope. Import moescope instead.")
        definition.pointee.m_size = -1
        definition.pointee.m_methods = MethodEntry.table(ModuleFunctions.all)
        let module = try PythonReference(PyModule_Create2(definition, PYTHON_API_VERSION))
        let made = try NativeTypes()
        madeTypes = made
        try made.add(to: module)
        for (name, value) in [
            ("version", ModuleFunctions.version), ("group_like_fields", Corpus.groupLikeFields.joined(separator: " ")),
        ] {
            guard PyModule_AddStringConstant(module.object, name, value) == 0 else { throw .raised }
        }
        return module.release()
    }
}
