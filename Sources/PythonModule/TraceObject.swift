import CPython
import Foundation
import RoutingMetrics
import Synchronization
import Tensors
import Traces

/// A trace as Python holds it.
final class OpenTrace: Sendable {
    let trace: Trace
    /// The counts that metrics were last computed from: several metrics of one trace count it once.
    private let counted = Mutex<MetricInput?>(nil)

    init(_ trace: Trace) { self.trace = trace }

    func input(_ settings: MetricSettings) throws(MetricError) -> MetricInput {
        if let known = counted.withLock({ $0 }), known.settings == settings { return known }
        let input = try MetricInput(trace, settings: settings)
        counted.withLock { $0 = input }
        return input
    }
}

/// The native side of `moescope.Trace`. N rows in all shards · E experts · K slots · H heads.
enum TraceObject {
    static func makeType() throws(PythonError) -> NativeType<OpenTrace> {
        try NativeType(
            name: "moescope._Trace", doc: "A trace on disk. Use moescope.open_trace.",
            methods: [
                MethodEntry("rows", "rows(name) -> Array [N]: document, position, token, logprob or predicted.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        let trace = try types.trace.payload(of: object).trace
                        let arguments = try Arguments(arguments, count, expected: 1...1)
                        return try types.array.make(
                            try TraceObject.rows(trace, try FromPython.string(try arguments[0], "name"))
                        ).release()
                    }
                },
                MethodEntry(
                    "layer",
                    "layer(name, layer) -> Array [N, …]: router_logits, expert_indices, expert_weights, expert_guesses_… or attention_…."
                ) { object, arguments, count in
                    answering { () throws(PythonError) in
                        let trace = try types.trace.payload(of: object).trace
                        let arguments = try Arguments(arguments, count, expected: 2...2)
                        return try types.array.make(
                            try TraceObject.layer(
                                trace, try FromPython.string(try arguments[0], "name"),
                                layer: try FromPython.int(try arguments[1], "layer"))
                        ).release()
                    }
                },
                MethodEntry("pattern", "pattern(document, layer, head) -> Array [t, t] or None.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        let trace = try types.trace.payload(of: object).trace
                        let arguments = try Arguments(arguments, count, expected: 3...3)
                        let document = try FromPython.int(try arguments[0], "document")
                        let layer = try FromPython.int(try arguments[1], "layer")
                        let head = try FromPython.int(try arguments[2], "head")
                        let pattern = try translating {
                            try trace.attentionPattern(document: document, layer: layer, head: head)
                        }
                        guard let pattern else { return ToPython.none() }
                        let t = trace.documents[document].tokens
                        return try types.array.make(
                            ArrayStorage(copying: pattern, dtype: .f32, shape: [t, t])
                        ).release()
                    }
                },
                MethodEntry("stream", "stream(request as JSON) -> an Arrow C stream, as a capsule.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        let trace = try types.trace.payload(of: object).trace
                        let arguments = try Arguments(arguments, count, expected: 1...1)
                        let request = try FromPython.json(
                            TraceArrowStream.Request.self, try arguments[0], "request")
                        for index in request.documents ?? [] where !trace.documents.indices.contains(index) {
                            throw .value(
                                "documents: expected indices from 0 to \(trace.documents.count - 1), found \(index)")
                        }
                        return try ArrowStreamCapsule.make(
                            try translating { try TraceArrowStream(trace, request) })
                    }
                },
                MethodEntry("load", "load() -> Table: assignments by layer, group and expert.") { object, _, _ in
                    answering { () throws(PythonError) in
                        let trace = try types.trace.payload(of: object).trace
                        let table = try ReleasedInterpreter.run { _ in try TraceLoad.table(trace) }
                        return try types.table.make(table).release()
                    }
                },
                MethodEntry("vocabulary", "vocabulary() -> vocabulary.json as text, or None.") { object, _, _ in
                    answering { () throws(PythonError) in
                        let trace = try types.trace.payload(of: object).trace
                        guard let vocabulary = try translating({ try trace.vocabulary() }) else {
                            return ToPython.none()
                        }
                        return try ToPython.string(try json(vocabulary)).release()
                    }
                },
                MethodEntry("patterns", "patterns() -> list of (document, layer, head).") { object, _, _ in
                    answering { () throws(PythonError) in
                        let trace = try types.trace.payload(of: object).trace
                        let patterns = try translating { try trace.attentionPatterns() }
                        return try ToPython.list(count: patterns.count) { (index) throws(PythonError) in
                            let (document, layer, head) = patterns[index]
                            return try ToPython.tuple([document, layer, head]).release()
                        }.release()
                    }
                },
            ],
            getters: [
                (
                    "manifest", "manifest.json, as text.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.string(try json(try types.trace.payload(of: object).trace.manifest)).release()
                        }
                    }
                ),
                (
                    "documents", "The documents of the complete shards, as JSON text.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.string(try json(try types.trace.payload(of: object).trace.documents)).release()
                        }
                    }
                ),
            ])
    }

    /// `_moescope.open_trace(path) -> _Trace`
    static func open(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let path = try FromPython.string(try Arguments(arguments, count, expected: 1...1)[0], "path")
        let trace = try ReleasedInterpreter.run { _ in
            OpenTrace(try Trace(folder: URL(fileURLWithPath: path, isDirectory: true)))
        }
        return try types.trace.make(trace).release()
    }

    /// A column without layers, [N].
    private static func rows(_ trace: Trace, _ name: String) throws(PythonError) -> ArrayStorage {
        let known = trace.layout.columns.filter { $0.dimensions == [.rows] }
        guard let column = known.first(where: { $0.name == name }) else {
            throw absent(name, known)
        }
        return try ReleasedInterpreter.run { _ in
            let array = ArrayStorage(uninitialized: column.dtype(trace.layout), shape: [trace.manifest.tokens])
            var offset = 0
            for index in 0..<trace.shardCount {
                let shard = try trace.shard(index)
                guard let bytes = shard.bytes(column) else { continue }
                withExtendedLifetime(shard) { copy(bytes, to: array, at: &offset) }
            }
            return array
        }
    }

    /// One layer of a column, [N, …], or [H, N] for attention: f32, or u16 for experts.
    private static func layer(_ trace: Trace, _ name: String, layer: Int) throws(PythonError) -> ArrayStorage {
        let layout = trace.layout
        let known = layout.columns.filter { $0.layers(layout) != nil }
        guard let column = known.first(where: { $0.name == name }) else {
            throw absent(name, known)
        }
        let layers = column.layers(layout) ?? []
        guard let place = layers.firstIndex(of: layer) else {
            throw .value("layer \(layer): the trace has \(name) of layers \(layers)")
        }
        // Rows come first, or after the heads.
        let outer = column.dimensions[1] == .heads ? layout.heads : 1
        let width = column.shape(layout, rows: 1).dropFirst().reduce(1, *) / outer
        let rows = trace.manifest.tokens
        let shape = Array(column.shape(layout, rows: rows).dropFirst())
        return try ReleasedInterpreter.run { _ in
            let array = ArrayStorage(uninitialized: column.storage == .expertIndex ? .u16 : .f32, shape: shape)
            var first = 0
            for index in 0..<trace.shardCount {
                let shard = try trace.shard(index)
                guard let bytes = shard.bytes(column, layerIndex: place) else { continue }
                withExtendedLifetime(shard) {
                    let part = bytes.count / outer
                    for block in 0..<outer {
                        var offset = (block * rows + first) * width
                        widen(
                            UnsafeRawBufferPointer(rebasing: bytes[block * part..<(block + 1) * part]),
                            column.dtype(layout), to: array, at: &offset)
                    }
                }
                first += shard.rowCount
            }
            return array
        }
    }

    /// Why a trace has no such array.
    private static func absent(_ name: String, _ known: [TraceColumn]) -> PythonError {
        if let capture = TraceColumn.capture(of: name) {
            let words = capture.replacing("_", with: " ")
            return .value("the trace holds no \(words); trace again with capture=[\"\(capture)\"]")
        }
        if TraceColumn.omissible.contains(where: { $0.name == name }) {
            return .value("the trace has no \(name): the record that it was imported from does not hold it")
        }
        return .value("expected one of \(known.map(\.name).joined(separator: ", ")), found \"\(name)\"")
    }

    /// Copies stored values as the array's type: F16 becomes f32, U8 becomes u16.
    private static func widen(
        _ bytes: UnsafeRawBufferPointer, _ dtype: DType, to array: ArrayStorage, at offset: inout Int
    ) {
        switch dtype {
        case .f16:
            copy(bytes.bindMemory(to: UInt16.self).map { Float(Float16(bitPattern: $0)) }, to: array, at: &offset)
        case .u8: copy(bytes.map { UInt16($0) }, to: array, at: &offset)
        default: copy(bytes, to: array, at: &offset)
        }
    }

    private static func copy<Element: BitwiseCopyable>(
        _ values: [Element], to array: ArrayStorage, at offset: inout Int
    ) {
        values.withUnsafeBytes { copy($0, to: array, at: &offset) }
    }

    private static func copy(_ bytes: UnsafeRawBufferPointer, to array: ArrayStorage, at offset: inout Int) {
        let count = bytes.count / array.dtype.blockBytes
        precondition(offset + count <= array.count)
        if let base = bytes.baseAddress {
            (array.memory + offset * array.dtype.blockBytes).copyMemory(from: base, byteCount: bytes.count)
        }
        offset += count
    }
}
