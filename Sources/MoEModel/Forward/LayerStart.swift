/// Where a pass begins that does not begin at the embedding, so that variants of a pass compute their common layers once.
public struct LayerStart: Sendable {
    /// First layer to run.
    public let layer: Int
    /// [T, D], as `blocks.{layer}.resid_pre` showed it.
    public let residual: [Float]

    public init(layer: Int, residual: [Float]) {
        self.layer = layer
        self.residual = residual
    }
}
