/// Where a pass begins that need not begin at the embedding: what a variant of a pass shares with it is computed once.
public struct LayerStart: Sendable {
    /// First layer to run.
    public let layer: Int
    /// [T, D], as `blocks.{layer}.resid_pre` showed it.
    public let residual: [Float]

    public init(layer: Int, residual: [Float]) {
        self.layer = layer
        self.residual = residual
    }

    /// - Precondition: the residual has the matrix's size.
    func copy(to x: Matrix) {
        precondition(residual.count == x.rows * x.columns && x.stride == x.columns)
        residual.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { x.base.update(from: base, count: source.count) }
        }
    }
}
