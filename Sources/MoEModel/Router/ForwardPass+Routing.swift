import Hooks
import RouterPolicies
import Tensors

extension ForwardPass {
    /// Router: logits, scores, choice, weights. Each can be seen and edited, and what follows is computed from the edited
    /// value.
    mutating func route(_ layer: Int, _ experts: Weights.Experts) throws -> Routing {
        let interventions = hooks.hooks.interventions[layer]
        let policy = config.router
        let routing = Routing(
            logits: matrix(.routerLogits, columns: config.experts.count),
            scores: matrix(.routerScores, columns: config.experts.count),
            indices: backend.workspace.indices(.expertIndices, rows: x.rows, columns: width),
            weights: matrix(.expertWeights, columns: width))

        backend.multiply(normed, experts.router, into: routing.logits)
        if let bias = experts.routerBias { backend.addBias(bias, to: routing.logits) }
        try checkFinite(routing.logits, layer)
        change(routing.logits, layer, interventions)
        try hooks.emit(.routerLogits, layer, routing.logits)

        backend.score(routing.logits, policy.score, into: routing.scores)
        try hooks.emit(.routerScores, layer, routing.scores)
        try emitProbabilities(layer, routing.scores, policy)

        backend.choose(routing, policy, bias: experts.selectionBias, choices: policy.expertsPerToken)
        changeChoices(routing, policy, bias: experts.selectionBias, interventions)
        changeWeights(routing, interventions)
        try hooks.emit(.expertIndices, layer, routing.indices)
        try checkIndices(routing, layer)
        try hooks.emit(.expertWeights, layer, routing.weights)
        return routing
    }

    /// The model's own distribution over experts: the scores, or for sigmoid scores s / Σ s. What an edit leaves there becomes
    /// the scores, times the same Σ s.
    private mutating func emitProbabilities(_ layer: Int, _ scores: Matrix, _ policy: RouterPolicy) throws {
        guard hooks.wants(.routerProbs, layer) else { return }
        guard policy.score == .sigmoid else { return try hooks.emit(.routerProbs, layer, scores) }
        try backend.withTemporary(rows: scores.rows, columns: 1) { sums in
            backend.normalize(scores, sums: sums)
            try hooks.emit(.routerProbs, layer, scores)
            backend.scale(scores, byRows: sums)
        }
    }

    /// An editor may write any number; an expert that does not exist stops the pass.
    private func checkIndices(_ routing: Routing, _ layer: Int) throws(HookError) {
        guard hooks.hooks.edits(.expertIndices, layer: layer) else { return }
        if let expert = backend.first(outside: 0...Int32(routing.expertCount), routing.indices) {
            throw .expertOutOfRange(Int(expert), expertCount: routing.expertCount)
        }
    }
}
