import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// Queries, keys and values of latent attention (arXiv 2405.04434 §2.1), expanded for every head, from `normed`: the latent
    /// of keys and values comes with the rotated elements that all heads share. Values are padded with zeros to the size of keys.
    ///
    /// The cache holds the expanded keys and values, not the latent.
    mutating func projectLatent(
        _ layer: Int, _ weights: Weights.Layer, _ latent: AttentionConfig.Latent, _ q: Matrix, _ k: Matrix, _ v: Matrix
    ) throws {
        let tensors = weights.tensors
        let (attention, rank) = (config.attention, latent.rank)
        if let down = tensors[.queryDown], let up = tensors[.queryUp], let norm = weights.queryDownNorm {
            let low = matrix(.queryLatent, columns: down.shape[0])
            backend.project(normed, down, into: low)
            backend.rmsNorm(low, weight: norm.weight, epsilon: Self.latentEpsilon, into: low)
            backend.project(low, up, into: q)
        } else {
            backend.project(normed, tensors.query, into: q)
        }
        guard let down = tensors[.latentDown], let up = tensors[.latentUp], let norm = weights.latentNorm else {
            return
        }
        let low = matrix(.latent, columns: rank + attention.rotatedSize)
        let content = matrix(.latentContent, columns: rank)
        backend.project(normed, down, into: low)
        backend.rmsNorm(low.columns(0..<rank), weight: norm.weight, epsilon: Self.latentEpsilon, into: content)
        try hooks.emit(.keyValueLatent, layer, content)
        let both = matrix(.latentExpanded, columns: up.shape[0])
        let values = matrix(.latentValues, columns: attention.headCount * latent.valueSize)
        backend.project(content, up, into: both)
        let shape = LatentShape(
            heads: attention.headCount, headSize: attention.headSize, rotatedSize: attention.rotatedSize,
            valueSize: latent.valueSize)
        backend.spread(both, shared: low.columns(rank..<rank + attention.rotatedSize), shape, keys: k, values: values)
        try hooks.emit(.queryProjection, layer, q)
        try hooks.emit(.query, layer, q)
        try hooks.emit(.keyProjection, layer, k)
        try hooks.emit(.key, layer, k)
        try hooks.emit(.valueProjection, layer, values)
        try hooks.emit(.value, layer, values)
        backend.pad(values, heads: attention.headCount, into: v)
    }

    /// The head outputs without what values were padded with, [T, H · valueSize].
    func ownValues(_ z: Matrix, _ latent: AttentionConfig.Latent) -> Matrix {
        let own = matrix(.latentHeads, columns: config.attention.outputWidth)
        backend.pad(z, heads: config.attention.headCount, into: own)
        return own
    }

    /// The reference's norms of latents have their own epsilon, whatever the config says.
    private static var latentEpsilon: Float { 1e-6 }
}
