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
        for (projection, final, value) in [
            (HookSite.queryProjection, HookSite.query, q), (.keyProjection, .key, k),
            (.valueProjection, .value, values),
        ] {
            try hooks.emit(projection, layer, value)
            try hooks.emit(final, layer, value)
        }
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

/// The sizes of latent attention's heads.
struct LatentShape {
    let heads: Int
    let headSize: Int
    let rotatedSize: Int
    let valueSize: Int
}

extension Backend {
    /// Takes keys and values apart, and gives every head the keys' shared elements behind its own.
    /// - Parameters:
    ///   - both: [T, H · (d − rotated + value size)], keys before values in each head.
    ///   - shared: [T, rotated].
    ///   - keys: [T, H · d].
    ///   - values: [T, H · value size].
    func spread(_ both: Matrix, shared: Matrix, _ shape: LatentShape, keys: Matrix, values: Matrix) {
        let own = shape.headSize - shape.rotatedSize
        forRows(both.rows) { rows in
            for row in rows {
                for head in 0..<shape.heads {
                    let from = both.row(row) + head * (own + shape.valueSize)
                    let key = keys.row(row) + head * shape.headSize
                    key.update(from: from, count: own)
                    (key + own).update(from: shared.row(row), count: shape.rotatedSize)
                    (values.row(row) + head * shape.valueSize).update(from: from + own, count: shape.valueSize)
                }
            }
        }
    }

    /// Copies each head, cut or filled with zeros to the other matrix's size.
    func pad(_ x: Matrix, heads: Int, into out: Matrix) {
        let (from, to) = (x.columns / heads, out.columns / heads)
        forRows(x.rows) { rows in
            for row in rows {
                for head in 0..<heads {
                    let target = out.row(row) + head * to
                    target.update(from: x.row(row) + head * from, count: min(from, to))
                    if to > from { (target + from).update(repeating: 0, count: to - from) }
                }
            }
        }
    }
}
