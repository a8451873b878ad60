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
                MethodEntry("rows", "rows(name) -> Array [N]: document, position, token or logprob.") {
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
                    "layer(name, layer) -> Array [N, …]: router_logits, expert_indices, expert_weights or attention_…."
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

    private static func rows(_ trace: Trace, _ name: String) throws(PythonError) -> ArrayStorage {
        let dtype: DType
        switch name {
        case "document", "position", "token": dtype = .i32
        case "logprob": dtype = .f32
        default: throw .value("rows: expected document, position, token or logprob, found \"\(name)\"")
        }
        return try ReleasedInterpreter.run { _ in
            let array = ArrayStorage(uninitialized: dtype, shape: [trace.manifest.tokens])
            var offset = 0
            for index in 0..<trace.shardCount {
                let shard = try trace.shard(index)
                switch name {
                case "document": copy(shard.document, to: array, at: &offset)
                case "position": copy(shard.position, to: array, at: &offset)
                case "token": copy(shard.token, to: array, at: &offset)
                default: copy(shard.logprob, to: array, at: &offset)
                }
            }
            return array
        }
    }

    private static func layer(_ trace: Trace, _ name: String, layer: Int) throws(PythonError) -> ArrayStorage {
        guard let place = trace.layout.layers.firstIndex(of: layer) else {
            throw .value("layer \(layer): the trace has layers \(trace.layout.layers)")
        }
        let rows = trace.manifest.tokens
        let layout = trace.layout
        return try ReleasedInterpreter.run { _ in
            var offset = 0
            switch name {
            case "expert_indices":
                let array = ArrayStorage(uninitialized: .u16, shape: [rows, layout.expertsPerToken])
                var values: [UInt16] = []
                for index in 0..<trace.shardCount {
                    try trace.shard(index).readExpertIndices(layerIndex: place, into: &values)
                    copy(values, to: array, at: &offset)
                }
                return array
            case "expert_weights", "router_logits":
                let isLogits = name == "router_logits"
                guard !isLogits || layout.routerLogits != nil else {
                    throw PythonError.value(
                        "the trace holds no router logits; trace again with capture=[\"router_logits\"]")
                }
                let array = ArrayStorage(
                    uninitialized: .f32, shape: [rows, isLogits ? layout.experts : layout.expertsPerToken])
                var values: [Float] = []
                for index in 0..<trace.shardCount {
                    let shard = try trace.shard(index)
                    if isLogits {
                        shard.readRouterLogits(layerIndex: place, into: &values)
                    } else {
                        shard.readExpertWeights(layerIndex: place, into: &values)
                    }
                    copy(values, to: array, at: &offset)
                }
                return array
            default: return try attention(trace, name, layerIndex: place)
            }
        }
    }

    /// [H, N]: each shard's rows go beside the others' in every head.
    private static func attention(_ trace: Trace, _ name: String, layerIndex: Int) throws -> ArrayStorage {
        guard let statistic = AttentionStatistic(rawValue: name) else {
            let known =
                (["router_logits", "expert_indices", "expert_weights"] + AttentionStatistic.allCases.map(\.rawValue))
                .joined(separator: ", ")
            throw PythonError.value("expected one of \(known), found \"\(name)\"")
        }
        guard trace.layout.attentionSummary else {
            throw PythonError.value(
                "the trace holds no attention summary; trace again with capture=[\"attention_summary\"]")
        }
        let (heads, rows) = (trace.layout.heads, trace.manifest.tokens)
        let array = ArrayStorage(uninitialized: .f32, shape: [heads, rows])
        var values: [Float] = []
        var first = 0
        for index in 0..<trace.shardCount {
            let shard = try trace.shard(index)
            shard.readAttention(statistic, layerIndex: layerIndex, into: &values)
            for head in 0..<heads {
                var offset = head * rows + first
                let part = values[head * shard.rowCount..<(head + 1) * shard.rowCount]
                copy(Array(part), to: array, at: &offset)
            }
            first += shard.rowCount
        }
        return array
    }

    private static func copy<Element: BitwiseCopyable>(
        _ values: [Element], to array: ArrayStorage, at offset: inout Int
    ) {
        precondition(offset + values.count <= array.count)
        values.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            (array.memory + offset * array.dtype.blockBytes).copyMemory(from: base, byteCount: bytes.count)
        }
        offset += values.count
    }
}
