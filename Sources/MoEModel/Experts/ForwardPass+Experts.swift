import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// Every expert on its own rows: down(silu(gate(x)) ⊙ up(x)), [N, D] in the dispatch's order.
    ///
    /// Experts are computed in groups whose hidden activations stay below `WorkingMemory.hiddenLimit`.
    func experts(_ layer: Int, _ dispatch: ExpertDispatch, _ weights: Weights.Experts) -> Matrix {
        let outputs = matrix(.expertOutput, rows: dispatch.count, columns: config.hiddenSize)
        var first = 0
        for expert in 0..<config.experts.count {
            let rows = dispatch.range(first..<expert + 1).count
            if rows * config.experts.size > WorkingMemory.hiddenLimit, expert > first {
                compute(layer, first..<expert, dispatch, weights, into: outputs)
                first = expert
            }
        }
        compute(layer, first..<config.experts.count, dispatch, weights, into: outputs)
        return outputs
    }

    private func compute(
        _ layer: Int, _ experts: Range<Int>, _ dispatch: ExpertDispatch, _ weights: Weights.Experts,
        into outputs: Matrix
    ) {
        let assignments = dispatch.range(experts)
        let hidden = matrix(.expertHidden, rows: assignments.count, columns: config.experts.size)
        let clamp = config.experts.clamp.flatMap { clamp in
            weights.biases.map { ClampedGate(gateBias: $0.gate, upBias: $0.up, alpha: clamp.alpha, limit: clamp.limit) }
        }
        backend.projectGated(
            normed, dispatch, experts, gate: weights.tensors.gate, up: weights.tensors.up, clamp: clamp, into: hidden)
        if let statistics {
            for expert in experts {
                let own = dispatch.range(expert)
                let rows = own.lowerBound - assignments.lowerBound..<own.upperBound - assignments.lowerBound
                statistics.add(.expert(layer: layer, expert), normed, rows: dispatch.rows(expert), backend)
                statistics.add(.expertDown(layer: layer, expert), hidden.rows(rows), backend)
            }
        }
        backend.project(hidden, dispatch, experts, down: weights.tensors.down, into: outputs)
        if let bias = weights.biases?.down { backend.addBias(bias, of: experts, dispatch, to: outputs) }
    }

    /// branch += σ(x · router) · the expert that every token goes through; without a router of its own, with weight 1.
    func addSharedExpert(_ layer: Int, _ expert: GatedTensors, _ router: FloatVector?) {
        let hidden = matrix(.expertHidden, columns: expert.gate.shape[0])
        let output = matrix(.sharedOutput, columns: config.hiddenSize)
        backend.projectGated(normed, gate: expert.gate, up: expert.up, into: hidden)
        statistics?.add(.sharedExpert(layer: layer), normed, backend)
        statistics?.add(.sharedExpertDown(layer: layer), hidden, backend)
        backend.project(hidden, expert.down, into: output)
        if let router {
            let gates = matrix(.sharedGate, columns: 1)
            backend.multiply(normed, router, into: gates)
            backend.add(output, timesSigmoidOf: gates, to: branch)
        } else {
            backend.add(output, to: branch)
        }
    }

    /// branch = down(silu(gate(x)) ⊙ up(x)): the one network of a dense layer.
    func feedForward(_ layer: Int, _ dense: GatedTensors) {
        let hidden = matrix(.expertHidden, columns: dense.gate.shape[0])
        backend.projectGated(normed, gate: dense.gate, up: dense.up, into: hidden)
        statistics?.add(.dense(layer: layer), normed, backend)
        statistics?.add(.denseDown(layer: layer), hidden, backend)
        backend.project(hidden, dense.down, into: branch)
    }

    /// Shows each choice's output, [T, W, D], and takes edits back.
    mutating func emitExpertOutputs(_ layer: Int, _ outputs: Matrix, _ dispatch: ExpertDispatch) throws {
        guard hooks.wants(.expertOutputs, layer) else { return }
        let ranked = matrix(.rankedOutput, rows: x.rows * width, columns: config.hiddenSize)
        backend.gather(outputs, dispatch, into: ranked)
        try hooks.emit(.expertOutputs, layer, ranked)
        if hooks.hooks.edits(.expertOutputs, layer: layer) { backend.scatter(ranked, dispatch, into: outputs) }
    }
}
