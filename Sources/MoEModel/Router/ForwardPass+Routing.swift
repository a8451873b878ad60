import Checkpoints
import Hooks
import RouterPolicies
import Tensors

extension ForwardPass {
    /// Router: logits, probabilities, choice, weights; each can be seen and edited, and an edit re-runs what follows.
    mutating func route(_ layer: Int, _ experts: Weights.Experts) throws -> Routing {
        let interventions = hooks.hooks.interventions[layer]
        let (rows, count) = (x.rows, config.experts.count)
        let routing = Routing(
            rows: rows, expertCount: count, width: width,
            logits: workspace.memory(.routerLogits, Float.self, count: rows * count),
            scores: workspace.memory(.routerScores, Float.self, count: rows * count),
            indices: workspace.memory(.expertIndices, Int32.self, count: rows * width),
            weights: workspace.memory(.expertWeights, Float.self, count: rows * width))
        let (context, policy, bias) = (context, config.router, experts.selectionBias?.base)

        kernels.routerLogits(normed, experts.router.base, into: Matrix(routing.logits, rows: rows, columns: count))
        try checkFinite(UnsafeBufferPointer(start: routing.logits, count: rows * count), layer)
        if !interventions.isEmpty {
            kernels.forRows(rows) {
                Router.changeLogits(routing, layer: layer, interventions, context: context, rows: $0)
            }
        }
        try hooks.emit(.routerLogits, layer, routing.logits, [rows, count])

        kernels.forRows(rows) { Router.score(routing, policy, rows: $0) }
        try emitProbabilities(layer, routing, policy)

        kernels.forRows(rows) {
            Router.choose(routing, policy, bias: bias, interventions, context: context, rows: $0)
            Router.changeWeights(routing, interventions, context: context, rows: $0)
        }
        try hooks.emit(.expertIndices, layer, indices: routing.indices, [rows, width])
        try checkIndices(routing, layer)
        try hooks.emit(.expertWeights, layer, routing.weights, [rows, width])
        return routing
    }

    /// The model's own distribution over experts: the scores, or for sigmoid scores s / Σ s. What an edit leaves there becomes
    /// the scores, times the same Σ s.
    private mutating func emitProbabilities(_ layer: Int, _ routing: Routing, _ policy: RouterPolicy) throws {
        guard hooks.wants(.routerProbs, layer) else { return }
        let (rows, count) = (routing.rows, routing.expertCount)
        var sums = [Float](repeating: 1, count: rows)
        if policy.score == .sigmoid {
            for row in 0..<rows {
                let s = routing.scores + row * count
                sums[row] = (0..<count).reduce(0) { $0 + s[$1] }
                for expert in 0..<count { s[expert] /= sums[row] }
            }
        }
        try hooks.emit(.routerProbs, layer, routing.scores, [rows, count])
        guard policy.score == .sigmoid else { return }
        for row in 0..<rows {
            for expert in 0..<count { routing.scores[row * count + expert] *= sums[row] }
        }
    }

    /// An editor may write any number; experts that do not exist stop the pass instead of reading foreign memory.
    private func checkIndices(_ routing: Routing, _ layer: Int) throws(HookError) {
        guard hooks.hooks.edits(.expertIndices, layer: layer) else { return }
        for slot in 0..<routing.rows * routing.width {
            let expert = Int(routing.indices[slot])
            guard (0...routing.expertCount).contains(expert) else {
                throw .expertOutOfRange(expert, expertCount: routing.expertCount)
            }
        }
    }
}
