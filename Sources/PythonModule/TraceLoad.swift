import FileFormats
import Traces

/// Assignments of every layer, group and expert: the smallest table that says how a trace routes.
enum TraceLoad {
    /// - Returns: layer, group, expert, assignments, and first choices where the trace has their order.
    static func table(_ trace: Trace) throws -> TableStorage {
        let (E, K) = (trace.layout.experts, trace.layout.expertsPerToken)
        let groups = Set(trace.documents.map(\.group)).sorted()
        let places = Dictionary(uniqueKeysWithValues: zip(groups, 0...))
        let layers = trace.layout.layers
        var assignments = [Int](repeating: 0, count: layers.count * groups.count * E)
        var firsts = assignments
        var chosen: [UInt16] = []
        for index in 0..<trace.shardCount {
            let shard = try trace.shard(index)
            for layer in layers.indices {
                shard.readExpertIndices(layerIndex: layer, into: &chosen)
                for document in shard.documents {
                    let base = (layer * groups.count + (places[document.group] ?? 0)) * E
                    for slot in document.rows.lowerBound * K..<document.rows.upperBound * K {
                        let expert = Int(chosen[slot])
                        guard expert < E else { continue }
                        assignments[base + expert] += 1
                        if slot % K == 0 { firsts[base + expert] += 1 }
                    }
                }
            }
        }
        try trace.checkReadable()
        func column<Value>(_ value: (_ layer: Int, _ group: Int, _ expert: Int) -> Value) -> [Value] {
            layers.indices.flatMap { layer in
                groups.indices.flatMap { group in (0..<E).map { value(layer, group, $0) } }
            }
        }
        var columns: [TableStorage.Column] = [
            .init(name: "layer", values: .ints(column { layer, _, _ in layers[layer] })),
            .init(name: "group", values: .strings(column { _, group, _ in groups[group] })),
            .init(name: "expert", values: .ints(column { _, _, expert in expert })),
            .init(name: "assignments", values: .ints(assignments)),
        ]
        if trace.layout.hasChoiceOrder { columns.append(.init(name: "first_choices", values: .ints(firsts))) }
        return TableStorage(name: "load", columns: columns)
    }
}
