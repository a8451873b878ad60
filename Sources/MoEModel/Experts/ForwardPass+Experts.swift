import Checkpoints
import Foundation
import Hooks
import Tensors

/// Tokens sorted by expert: which rows each expert computes, and where each row finds its outputs again.
struct ExpertDispatch {
    let routing: Routing
    /// Rows of each expert's tokens, rising, all experts one after the other.
    let rows: UnsafeMutablePointer<Int32>
    /// [E + 1]: where each expert begins in `rows`, and the end.
    let starts: UnsafeMutablePointer<Int32>
    /// [T, W]: place in `rows` of each choice; −1 where a choice has weight 0 and is not computed.
    let places: UnsafeMutablePointer<Int32>

    init(_ routing: Routing, _ workspace: Workspace) {
        self.routing = routing
        let slots = routing.rows * routing.width
        rows = workspace.memory(.dispatchRows, Int32.self, count: slots)
        places = workspace.memory(.dispatchPlaces, Int32.self, count: slots)
        starts = workspace.memory(.dispatchStarts, Int32.self, count: routing.expertCount + 1)
        starts.update(repeating: 0, count: routing.expertCount + 1)
        // Counts, each one place up; then where each expert ends, moved down as its rows are placed from the last.
        for slot in 0..<slots where routing.computes(slot) { starts[Int(routing.indices[slot])] += 1 }
        for expert in 0..<routing.expertCount { starts[expert + 1] += starts[expert] }
        for slot in stride(from: slots - 1, through: 0, by: -1) {
            guard routing.computes(slot) else {
                places[slot] = -1
                continue
            }
            let expert = Int(routing.indices[slot])
            starts[expert] -= 1
            rows[Int(starts[expert])] = Int32(slot / routing.width)
            places[slot] = starts[expert]
        }
    }

    /// Choices that are computed.
    var count: Int { Int(starts[routing.expertCount]) }

    /// Range in `rows` of an expert.
    func range(_ expert: Int) -> Range<Int> { Int(starts[expert])..<Int(starts[expert + 1]) }
}

extension Routing {
    /// Whether a choice has anything to add: a weight, and an expert.
    func computes(_ slot: Int) -> Bool { weights[slot] != 0 && indices[slot] < Int32(expertCount) }
}

extension ForwardPass {
    /// Every expert on its own tokens: down(silu(gate(x)) ⊙ up(x)), [assignments, D] in the dispatch's order.
    func experts(_ layer: Int, _ dispatch: ExpertDispatch, _ weights: ExpertTensors) -> Matrix {
        let outputs = workspace.matrix(.expertOutput, rows: dispatch.count, columns: config.hiddenSize)
        var first = 0
        for expert in 0..<config.experts.count {
            let rows = Int(dispatch.starts[expert + 1] - dispatch.starts[first])
            if rows * config.experts.size > WorkingMemory.hiddenLimit, expert > first {
                compute(layer, first..<expert, dispatch, weights, into: outputs)
                first = expert
            }
        }
        compute(layer, first..<config.experts.count, dispatch, weights, into: outputs)
        return outputs
    }

    private func compute(
        _ layer: Int, _ group: Range<Int>, _ dispatch: ExpertDispatch, _ weights: ExpertTensors, into outputs: Matrix
    ) {
        let start = Int(dispatch.starts[group.lowerBound])
        let hidden = workspace.matrix(
            .expertHidden, rows: Int(dispatch.starts[group.upperBound]) - start, columns: config.experts.size)
        let (inputs, packedHidden) = (workspace.expertInput, workspace.expertHidden)
        let normed = normed
        // Functions, since closures kept in a variable are allocated.
        func rangeOf(_ index: Int) -> Range<Int> { dispatch.range(group.lowerBound + index) }
        func hiddenOf(_ index: Int) -> Matrix {
            let range = rangeOf(index)
            return hidden.rows(range.lowerBound - start..<range.upperBound - start)
        }

        let first = group.lowerBound
        kernels.packGroups(
            group.count, columns: config.hiddenSize, for: weights.gate[first].dtype, into: inputs,
            rows: { rangeOf($0).count }
        ) { (normed, UnsafePointer(dispatch.rows) + rangeOf($0).lowerBound) }
        kernels.multiplyGated(group.count) { index in
            (
                Kernels.Product(x: inputs.groups[index], weights: weights.gate[first + index], y: hiddenOf(index)),
                weights.up[first + index]
            )
        }
        if let statistics {
            for index in 0..<group.count {
                let range = rangeOf(index)
                let own = UnsafeBufferPointer(
                    start: UnsafePointer(dispatch.rows) + range.lowerBound, count: range.count)
                statistics.add(.expert(layer: layer, first + index), normed, rows: own)
                statistics.add(.expertDown(layer: layer, first + index), hiddenOf(index))
            }
        }
        kernels.packGroups(
            group.count, columns: config.experts.size, for: weights.down[first].dtype, into: packedHidden,
            rows: { rangeOf($0).count }
        ) { (hiddenOf($0), nil) }
        kernels.multiply(group.count) { index in
            Kernels.Product(
                x: packedHidden.groups[index], weights: weights.down[first + index], y: outputs.rows(rangeOf(index)))
        }
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
    func addSharedExpert(_ layer: Int, _ expert: GatedTensors, _ router: FloatVector?) {
        let rows = x.rows
        let hidden = workspace.matrix(.expertHidden, rows: rows, columns: expert.gate.shape[0])
        let output = workspace.matrix(.sharedOutput, rows: rows, columns: config.hiddenSize)
        let packed = kernels.pack(normed, for: expert.gate.dtype, into: workspace.expertInput)
        kernels.multiplyGated(1) { _ in (Kernels.Product(x: packed, weights: expert.gate, y: hidden), expert.up) }
        statistics?.add(.sharedExpert(layer: layer), normed)
        statistics?.add(.sharedExpertDown(layer: layer), hidden)
        kernels.project(hidden, expert.down, into: output, workspace.expertHidden)
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

    /// branch = down(silu(gate(x)) ⊙ up(x)): the one network of a dense layer.
    func feedForward(_ layer: Int, _ dense: GatedTensors) {
        let hidden = workspace.matrix(.expertHidden, rows: x.rows, columns: dense.gate.shape[0])
        let packed = kernels.pack(normed, for: dense.gate.dtype, into: workspace.expertInput)
        kernels.multiplyGated(1) { _ in (Kernels.Product(x: packed, weights: dense.gate, y: hidden), dense.up) }
        statistics?.add(.dense(layer: layer), normed)
        statistics?.add(.denseDown(layer: layer), hidden)
        kernels.project(hidden, dense.down, into: branch, workspace.expertHidden)
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
        try hooks.emit(.expertOutputs, layer, ranked.base, [rows, width, hidden])
        guard hooks.hooks.edits(.expertOutputs, layer: layer) else { return }
        for slot in 0..<rows * width where dispatch.places[slot] >= 0 {
            outputs.row(Int(dispatch.places[slot])).update(from: ranked.row(slot), count: hidden)
        }
    }
}
