import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// Router: logits, probabilities, choice, weights; each can be seen and edited, and an edit re-runs what follows.
    mutating func route(_ layer: Int, _ router: FloatVector) throws -> Routing {
        let interventions = hooks.hooks.interventions[layer]
        let (rows, count) = (x.rows, config.expertCount)
        let routing = Routing(
            rows: rows, expertCount: count, width: width,
            logits: workspace.memory(.routerLogits, Float.self, count: rows * count),
            probs: workspace.memory(.routerProbs, Float.self, count: rows * count),
            indices: workspace.memory(.expertIndices, Int32.self, count: rows * width),
            weights: workspace.memory(.expertWeights, Float.self, count: rows * width))
        let (context, config) = (context, config)

        kernels.routerLogits(normed, router.base, into: Matrix(routing.logits, rows: rows, columns: count))
        try checkFinite(UnsafeBufferPointer(start: routing.logits, count: rows * count), layer)
        if !interventions.isEmpty {
            kernels.forRows(rows) {
                Router.changeLogits(routing, layer: layer, interventions, context: context, rows: $0)
            }
        }
        try hooks.emit(.routerLogits, layer, routing.logits, [rows, count])

        kernels.forRows(rows) { Router.softmax(routing, rows: $0) }
        try hooks.emit(.routerProbs, layer, routing.probs, [rows, count])

        kernels.forRows(rows) {
            Router.choose(routing, config, interventions, context: context, rows: $0)
            Router.changeWeights(routing, interventions, context: context, rows: $0)
        }
        try hooks.emit(.expertIndices, layer, indices: routing.indices, [rows, width])
        try checkIndices(routing, layer)
        try hooks.emit(.expertWeights, layer, routing.weights, [rows, width])
        return routing
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
