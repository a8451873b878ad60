import Checkpoints
import Foundation
import Hooks
import Tensors

/// Tokens sorted by expert: which rows each expert computes, and where each row finds its outputs again.
struct ExpertDispatch {
    let routing: Routing
    /// Rows of each expert's tokens, rising, all experts one after the other.
    let rows: [Int32]
    /// Range in `rows` of each expert.
    let ranges: [Range<Int>]
    /// [T, W]: place in `rows` of each choice; −1 where a choice has weight 0 and is not computed.
    let places: [Int32]

    init(_ routing: Routing) {
        self.routing = routing
        let slots = routing.rows * routing.width
        var counts = [Int](repeating: 0, count: routing.expertCount)
        for slot in 0..<slots where routing.computes(slot) { counts[Int(routing.indices[slot])] += 1 }
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(counts.count)
        var start = 0
        for count in counts {
            ranges.append(start..<start + count)
            start += count
        }
        var next = ranges.map(\.lowerBound)
        var rows = [Int32](repeating: 0, count: start)
        var places = [Int32](repeating: -1, count: slots)
        for row in 0..<routing.rows {
            for slot in row * routing.width..<(row + 1) * routing.width where routing.computes(slot) {
                let expert = Int(routing.indices[slot])
                rows[next[expert]] = Int32(row)
                places[slot] = Int32(next[expert])
                next[expert] += 1
            }
        }
        self.rows = rows
        self.ranges = ranges
        self.places = places
    }
}

extension Routing {
    /// Whether a choice has anything to add: a weight, and an expert.
    func computes(_ slot: Int) -> Bool { weights[slot] != 0 && indices[slot] < Int32(expertCount) }
}

extension ForwardPass {
    /// Most f32 values of hidden activations to hold at once: experts are computed in groups that stay below it.
    private static let hiddenLimit = 32 << 20

    /// Every expert on its own tokens: down(silu(gate(x)) ⊙ up(x)), [assignments, D] in the dispatch's order.
    func experts(_ dispatch: ExpertDispatch, _ weights: LayerTensors) -> Matrix {
        let outputs = workspace.matrix(.expertOutput, rows: dispatch.rows.count, columns: config.hiddenSize)
        var group: [Int] = []
        var groupRows = 0
        for expert in dispatch.ranges.indices where !dispatch.ranges[expert].isEmpty {
            let count = dispatch.ranges[expert].count
            if groupRows > 0, (groupRows + count) * config.expertSize > Self.hiddenLimit {
                compute(group, dispatch, weights, into: outputs)
                group = []
                groupRows = 0
            }
            group.append(expert)
            groupRows += count
        }
        if !group.isEmpty { compute(group, dispatch, weights, into: outputs) }
        return outputs
    }

    private func compute(
        _ group: [Int], _ dispatch: ExpertDispatch, _ weights: LayerTensors, into outputs: Matrix
    ) {
        let counts = group.map { dispatch.ranges[$0].count }
        let hidden = workspace.matrix(.expertHidden, rows: counts.reduce(0, +), columns: config.expertSize)
        var starts: [Int] = []
        var start = 0
        for count in counts {
            starts.append(start)
            start += count
        }
        let hiddenOf = { (index: Int) in hidden.rows(starts[index]..<starts[index] + counts[index]) }

        let inputs = dispatch.rows.withUnsafeBufferPointer { rows in
            kernels.packGroups(
                counts, columns: config.hiddenSize, for: weights.gate[group[0]].dtype, into: workspace.expertInput
            ) { index in (normed, rows.baseAddress.map { $0 + dispatch.ranges[group[index]].lowerBound }) }
        }
        kernels.multiplyGated(
            group.indices.map { index in
                (
                    Kernels.Product(x: inputs[index], weights: weights.gate[group[index]], y: hiddenOf(index)),
                    Kernels.Product(x: inputs[index], weights: weights.up[group[index]], y: hiddenOf(index))
                )
            })
        let packedHidden = kernels.packGroups(
            counts, columns: config.expertSize, for: weights.down[group[0]].dtype, into: workspace.expertHidden
        ) { (hiddenOf($0), nil) }
        kernels.multiply(
            group.indices.map { index in
                Kernels.Product(
                    x: packedHidden[index], weights: weights.down[group[index]],
                    y: outputs.rows(dispatch.ranges[group[index]]))
            })
    }

    /// branch = Σ weight · output over the chosen experts of each row, in rising order of experts, so that the sum does
    /// not depend on what else is in the batch.
    func combine(_ outputs: Matrix, _ dispatch: ExpertDispatch) {
        let routing = dispatch.routing
        let branch = branch
        kernels.forRows(routing.rows) { rows in
            for row in rows {
                branch.row(row).update(repeating: 0, count: branch.columns)
                var last: Int32 = -1
                while let slot = Self.nextSlot(routing, row: row, after: &last) {
                    let place = dispatch.places[slot]
                    if place >= 0 {
                        kernels.add(
                            outputs.row(Int(place)), times: routing.weights[slot], to: branch.row(row), branch.columns)
                    }
                }
            }
        }
    }

    /// branch += σ(x · router) · the expert that every token goes through.
    func addSharedExpert(_ expert: SharedExpertTensors, _ router: FloatVector?) {
        let rows = x.rows
        let hidden = workspace.matrix(.expertHidden, rows: rows, columns: expert.gate.shape[0])
        let output = workspace.matrix(.sharedOutput, rows: rows, columns: config.hiddenSize)
        let packed = kernels.pack(normed, for: expert.gate.dtype, into: workspace.expertInput)
        kernels.multiplyGated([
            (
                Kernels.Product(x: packed, weights: expert.gate, y: hidden),
                Kernels.Product(x: packed, weights: expert.up, y: hidden)
            )
        ])
        kernels.project(hidden, [(expert.down, output)], workspace.expertHidden)
        let branch = branch
        let gates = workspace.matrix(.sharedGate, rows: rows, columns: 1)
        if let router { kernels.routerLogits(normed, router.base, into: gates) }
        kernels.forRows(rows) { rows in
            for row in rows {
                let weight = router == nil ? 1 : 1 / (1 + exp(-gates.row(row)[0]))
                kernels.add(output.row(row), times: weight, to: branch.row(row), branch.columns)
            }
        }
    }

    /// The slot of `row` with the lowest key (expert, slot) above `last`, which it advances.
    private static func nextSlot(_ routing: Routing, row: Int, after last: inout Int32) -> Int? {
        var best: (key: Int32, slot: Int)?
        for rank in 0..<routing.width {
            let slot = row * routing.width + rank
            let key = routing.indices[slot] * Int32(routing.width) + Int32(rank)
            if key > last, key < best?.key ?? .max { best = (key, slot) }
        }
        if let best { last = best.key }
        return best?.slot
    }

    /// Shows each choice's output as [T, W, D] and takes edits back.
    mutating func emitExpertOutputs(_ layer: Int, _ outputs: Matrix, _ dispatch: ExpertDispatch) throws {
        guard hooks.wants(.expertOutputs, layer) else { return }
        let (rows, width, hidden) = (x.rows, dispatch.routing.width, x.columns)
        let ranked = workspace.matrix(.rankedOutput, rows: rows * width, columns: hidden)
        for slot in 0..<rows * width {
            let place = Int(dispatch.places[slot])
            if place >= 0 {
                ranked.row(slot).update(from: outputs.row(place), count: hidden)
            } else {
                ranked.row(slot).update(repeating: 0, count: hidden)
            }
        }
        try hooks.emit(.expertOutputs, layer, ranked.base, rows, width, hidden)
        guard hooks.hooks.edits(.expertOutputs, layer: layer) else { return }
        for slot in 0..<rows * width where dispatch.places[slot] >= 0 {
            outputs.row(Int(dispatch.places[slot])).update(from: ranked.row(slot), count: hidden)
        }
    }
}
