import Hooks

extension Model {
    /// The experts a layer's router would choose for a residual stream that is not its own: from an earlier layer, they
    /// are a guess of what to fetch (speculative loading, arXiv 2312.17238).
    ///
    /// The layer's own norm and gate, no intervention. May be called from an observer of a pass.
    ///
    /// - Parameters:
    ///   - residual: [T, D], where the router would read it: after attention, before the norm (`resid_mid`).
    ///   - body: gets the choice, [T, K], by falling weight.
    package func routerChoice(
        layer: Int, residual: UnsafeBufferPointer<Float>, _ body: (UnsafeBufferPointer<Int32>) -> Void
    ) {
        let (hidden, count, width) = (config.hiddenSize, config.experts.count, config.expertsPerToken)
        let rows = residual.count / hidden
        let weights = weights.layers[layer]
        guard let experts = weights.experts else { return }
        let indices = UnsafeMutableBufferPointer<Int32>.allocate(capacity: rows * width)
        defer { indices.deallocate() }
        guard let source = residual.baseAddress, let target = indices.baseAddress, rows > 0 else {
            return body(UnsafeBufferPointer(indices))
        }
        // In pieces, so that memory does not follow the wave.
        let piece = min(rows, 1024)
        let normed = OwnedMatrix(rows: piece, columns: hidden)
        let logits = OwnedMatrix(rows: piece, columns: count)
        let scores = OwnedMatrix(rows: piece, columns: count)
        let chosen = OwnedMatrix(rows: piece, columns: width)
        let context = RowContext(batch: TokenBatch([]), positions: [], documents: [])
        for start in stride(from: 0, to: rows, by: piece) {
            let size = min(piece, rows - start)
            // The kernels take what they read as mutable too, and leave it as it is.
            let x = Matrix(UnsafeMutablePointer(mutating: source + start * hidden), rows: size, columns: hidden)
            kernels.norm(x, weights.feedForwardNorm, config, into: normed.matrix.rows(0..<size))
            let routing = Routing(
                rows: size, expertCount: count, width: width, logits: logits.matrix.base, scores: scores.matrix.base,
                indices: target + start * width, weights: chosen.matrix.base)
            kernels.routerLogits(
                normed.matrix.rows(0..<size), experts.router.base, into: logits.matrix.rows(0..<size))
            let (policy, bias) = (config.router, experts.selectionBias?.base)
            kernels.forRows(size) {
                Router.score(routing, policy, rows: $0)
                Router.choose(routing, policy, bias: bias, [], context: context, rows: $0)
            }
        }
        body(UnsafeBufferPointer(indices))
    }
}
