import Hooks
import Tensors

extension Model {
    /// The experts that a layer's router would choose for a residual stream that is not its own: for one from an earlier
    /// layer, they are a guess of what to fetch (speculative loading, arXiv 2312.17238).
    ///
    /// The layer's own norm and router are used, and no intervention. An observer of a pass may call it.
    ///
    /// - Parameters:
    ///   - residual: [T, D], where the router would read it: after attention, before the norm (`resid_mid`).
    ///   - body: gets the choice, [T, K], by falling weight; not called for a dense layer.
    package func routerChoice(
        layer: Int, residual: UnsafeBufferPointer<Float>, _ body: (UnsafeBufferPointer<Int32>) -> Void
    ) {
        let (count, width) = (config.experts.count, config.expertsPerToken)
        let weights = weights.layers[layer]
        guard let experts = weights.experts else { return }
        guard let x = Matrix(reading: residual, columns: config.hiddenSize) else {
            return body(UnsafeBufferPointer(start: nil, count: 0))
        }
        backend.withTemporaryIndices(rows: x.rows, columns: width) { indices in
            // In pieces, so that memory does not grow with the wave.
            let piece = min(x.rows, 1024)
            backend.withTemporary(rows: piece, columns: config.hiddenSize + 2 * count + width) { memory in
                for start in stride(from: 0, to: x.rows, by: max(1, piece)) {
                    let rows = start..<min(x.rows, start + piece)
                    let memory = memory.rows(0..<rows.count)
                    let normed = memory.columns(0..<config.hiddenSize)
                    let rest = config.hiddenSize
                    let routing = Routing(
                        logits: memory.columns(rest..<rest + count),
                        scores: memory.columns(rest + count..<rest + 2 * count), indices: indices.rows(rows),
                        weights: memory.columns(rest + 2 * count..<rest + 2 * count + width))
                    backend.norm(x.rows(rows), weights.feedForwardNorm, config, into: normed)
                    backend.multiply(normed, experts.router, into: routing.logits)
                    if let bias = experts.routerBias { backend.addBias(bias, to: routing.logits) }
                    backend.score(routing.logits, config.router.score, into: routing.scores)
                    backend.choose(
                        routing, config.router, bias: experts.selectionBias, choices: config.expertsPerToken)
                }
            }
            body(indices.values)
        }
    }
}
