import CPython
import Foundation
import Hooks
import Tensors
import Traces
import Tracing

/// The functions of `_moescope`.
enum ModuleFunctions {
    /// The package's version, also in the traces it writes.
    static let version = Version.current

    static let all: [MethodEntry] = [
        MethodEntry("load", "load(path, precision, threads or None) -> Model") { _, arguments, count in
            answering { () throws(PythonError) in try ModelObject.load(arguments, count) }
        },
        MethodEntry("session", "session(model, cache or None) -> Session: a text that grows.") { _, arguments, count in
            answering { () throws(PythonError) in try SessionObject.open(arguments, count) }
        },
        MethodEntry("corpus", "corpus(model, max_tokens or None) -> Corpus: documents, tokenized as they come.") {
            _, arguments, count in
            answering { () throws(PythonError) in try CorpusObject.open(arguments, count) }
        },
        MethodEntry("open_trace", "open_trace(path) -> Trace") { _, arguments, count in
            answering { () throws(PythonError) in try TraceObject.open(arguments, count) }
        },
        MethodEntry("write_trace", "write_trace(output, manifest as JSON) -> TraceWriter") { _, arguments, count in
            answering { () throws(PythonError) in try TraceWriterObject.open(arguments, count) }
        },
        MethodEntry("merge", "merge(paths, output, source, sha256): joins traces of the same model and capture.") {
            _, arguments, count in
            answering { () throws(PythonError) in try TraceCopyFunctions.merge(arguments, count) }
        },
        MethodEntry("subset", "subset(trace, documents, output): some documents as a trace of their own.") {
            _, arguments, count in
            answering { () throws(PythonError) in try TraceCopyFunctions.subset(arguments, count) }
        },
        MethodEntry("trace", "trace(model, path, documents, output, options, progress)") { _, arguments, count in
            answering { () throws(PythonError) in try TraceFunction.run(arguments, count) }
        },
        MethodEntry("metric", "metric(trace, name, settings) -> list of Table") { _, arguments, count in
            answering { () throws(PythonError) in try MetricFunctions.metric(arguments, count) }
        },
        MethodEntry("compare", "compare(traces, settings) -> list of Table") { _, arguments, count in
            answering { () throws(PythonError) in try MetricFunctions.compare(arguments, count) }
        },
        MethodEntry("paired", "paired(documents, settings) -> Table: effects on every group, paired by document.") {
            _, arguments, count in
            answering { () throws(PythonError) in try MetricFunctions.paired(arguments, count) }
        },
        MethodEntry("load_tables", "load_tables(counts) -> list of Table: the load of counts, without intervals.") {
            _, arguments, count in
            answering { () throws(PythonError) in try MetricFunctions.loadTables(arguments, count) }
        },
        MethodEntry("experiment", "experiment(model, path, documents, output, options, progress) -> list of Table") {
            _, arguments, count in
            answering { () throws(PythonError) in try ExperimentFunction.run(arguments, count) }
        },
        MethodEntry("metric_definitions", "metric_definitions() -> names, formulas and sources, as JSON.") { _, _, _ in
            answering { () throws(PythonError) in try MetricFunctions.definitions() }
        },
        MethodEntry("report", "report(trace, html, csv, title, compared trace, earlier traces, experiment)") {
            _, arguments, count in
            answering { () throws(PythonError) in try ReportFunction.run(arguments, count) }
        },
        MethodEntry("quantize", "quantize(path, type, output) -> bytes written") { _, arguments, count in
            answering { () throws(PythonError) in try QuantizeFunction.run(arguments, count) }
        },
        MethodEntry("command", "command(arguments, interpreter): the command line, which ends the process.") {
            _, arguments, count in
            answering { () throws(PythonError) in try CommandFunction.run(arguments, count) }
        },
        MethodEntry("hook_points", "hook_points(name, model) -> the names that a name stands for.") {
            _, arguments, count in
            answering { () throws(PythonError) in
                let arguments = try Arguments(arguments, count, expected: 2...2)
                let name = try FromPython.string(try arguments[0], "name")
                let config = try types.model.payload(of: try arguments[1]).model.config
                let points = try translating {
                    try HookPoint.named(
                        name, layerCount: config.layerCount, expertLayers: config.expertLayers, model: config.hookNaming
                    )
                }
                return try ToPython.list(count: points.count) { (index) throws(PythonError) in
                    try ToPython.string(points[index].description).release()
                }.release()
            }
        },
        MethodEntry("hooks", "hooks() -> Table: every hook point.") { _, _, _ in
            answering { () throws(PythonError) in try types.table.make(ModuleFunctions.hookTable()).release() }
        },
        MethodEntry("array", "array(dtype, shape, readonly) -> Array of zeros.") { _, arguments, count in
            answering { () throws(PythonError) in
                let arguments = try Arguments(arguments, count, expected: 3...3)
                return try ModuleFunctions.zeros(
                    try FromPython.string(try arguments[0], "dtype"), try FromPython.ints(try arguments[1], "shape"),
                    isReadOnly: try FromPython.bool(try arguments[2]))
            }
        },
        MethodEntry("table", "table(name, columns) -> Table of (name, list) pairs; None is a missing value.") {
            _, arguments, count in
            answering { () throws(PythonError) in
                let arguments = try Arguments(arguments, count, expected: 2...2)
                return try ModuleFunctions.table(
                    name: try FromPython.string(try arguments[0], "name"), columns: try arguments[1])
            }
        },
    ]

    private static func hookTable() -> TableStorage {
        let sites = HookSite.allCases
        return TableStorage(
            name: "hooks",
            columns: [
                .init(
                    name: "name",
                    values: .strings(sites.map { $0.isPerLayer ? "blocks.{l}.\($0.rawValue)" : $0.rawValue })),
                .init(name: "shape", values: .strings(sites.map(\.shape))),
                .init(name: "dtype", values: .strings(sites.map(\.elementName))),
                .init(name: "editable", values: .bools(sites.map(\.isEditable))),
                .init(name: "summary", values: .strings(sites.map(\.summary))),
            ])
    }

    private static func zeros(_ name: String, _ shape: [Int], isReadOnly: Bool) throws(PythonError) -> PythonObject {
        guard let dtype = DType(rawValue: name.uppercased()), dtype.blockElements == 1, dtype != .bf16 else {
            throw .value("dtype: expected f64, f32, f16, i64, i32, i16, i8, u16, u8 or bool, found \"\(name)\"")
        }
        guard shape.allSatisfy({ $0 >= 0 }) else { throw .value("shape: expected no negative size, found \(shape)") }
        let (_, overflow) = shape.reduce((dtype.blockBytes, false)) { total, size in
            let (product, overflow) = total.0.multipliedReportingOverflow(by: size)
            return (product, total.1 || overflow)
        }
        guard !overflow else { throw .value("shape: \(shape) does not fit memory") }
        let array = ArrayStorage(uninitialized: dtype, shape: shape, isReadOnly: isReadOnly)
        array.memory.initializeMemory(as: UInt8.self, repeating: 0, count: array.byteCount)
        return try types.array.make(array).release()
    }

    /// A table of a caller's own numbers, so that they travel by Arrow like ours. A column's type is that of its first
    /// value; integers among real ones become real.
    private static func table(name: String, columns: PythonObject) throws(PythonError) -> PythonObject {
        var made: [TableStorage.Column] = []
        for (name, values) in try FromPython.list(columns, "columns", column) {
            guard made.first.map({ $0.values.count == values.count }) ?? true else {
                throw .value("column \"\(name)\": expected \(made[0].values.count) values, found \(values.count)")
            }
            made.append(.init(name: name, values: values))
        }
        return try types.table.make(TableStorage(name: name, columns: made)).release()
    }

    private static func column(_ pair: PythonObject) throws(PythonError) -> (String, TableStorage.Values) {
        let key = try PythonReference(PySequence_GetItem(pair, 0))
        let items = try PythonReference(PySequence_GetItem(pair, 1))
        let name = try FromPython.string(key.object, "column")
        return (name, try TableStorage.Values(python: items.object, name: name))
    }
}

extension TableStorage.Values {
    /// Values of a Python sequence of bool, int, float or str, with None for a missing one.
    fileprivate init(python sequence: PythonObject, name: String) throws(PythonError) {
        enum Kind: Int { case bool, int, float, text }
        let kinds = try FromPython.list(sequence, name, longest: .max) { (item) throws(PythonError) -> Kind? in
            if moescope_is_none(item) != 0 { return nil }
            if moescope_is_bool(item) != 0 { return .bool }
            if moescope_is_str(item) != 0 { return .text }
            return PyIndex_Check(item) != 0 ? .int : .float
        }
        let present = Set(kinds.compactMap { $0 })
        func values<T>(_ convert: (PythonObject) throws(PythonError) -> T) throws(PythonError) -> [T?] {
            try FromPython.list(sequence, name, longest: .max) { (item) throws(PythonError) in
                try FromPython.optional(item, convert)
            }
        }
        switch present {
        case [.bool]: self = .bools(try values { (item) throws(PythonError) in try FromPython.bool(item) })
        case [.text]: self = .strings(try values { (item) throws(PythonError) in try FromPython.string(item, name) })
        case [.int]: self = .ints(try values { (item) throws(PythonError) in try FromPython.int(item, name) })
        case [.float], [.int, .float], []:
            self = .floats(try values { (item) throws(PythonError) in try FromPython.double(item, name) })
        default: throw .type("column \"\(name)\": expected values of one type")
        }
    }
}
