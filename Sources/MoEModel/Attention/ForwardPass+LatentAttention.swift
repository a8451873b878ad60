import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// Queries, keys and values of latent attention (arXiv 2405.04434 §2.1), expanded for every head, from `normed`: the latent
    /// of keys and values comes with the rotated elements that all heads share. Values are padded with zeros to the size of keys.
    mutating func projectLatent(
        _ layer: Int, _ weights: Weights.Layer, _ latent: AttentionConfig.Latent, _ q: Matrix, _ k: Matrix, _ v: Matrix
    ) throws {
        try projectQueries(layer, weights, q)
        let (content, shared) = try projectToLatent(layer, weights, latent)
        try expand(layer, weights, latent, content, shared, keys: k, values: v)
    }

    /// z = the head outputs, [T, H · d], of a text whose cache holds latents and shared, rotated elements of keys.
    ///
    /// Scores and sums are taken in the latents' space (arXiv 2405.04434 §2.1.2): queries are multiplied by what would expand
    /// keys, and what comes out by what would expand values, so that no cached row is ever expanded. Keys and values of every
    /// head are made for hooks only.
    mutating func attend(
        _ layer: Int, _ weights: Weights.Layer, _ latent: AttentionConfig.Latent, _ cache: KeyValueCache, _ q: Matrix,
        _ z: Matrix
    ) throws {
        for site in Self.expandedSites where hooks.hooks.edits(site, layer: layer) {
            throw ModelError.unsupported(
                "\(HookPoint(site, layer: layer)): a text that grows keeps the latent of keys and values, so they cannot be "
                    + "edited. Edit \(HookPoint(.keyValueLatent, layer: layer)), or run the text in one pass")
        }
        guard let up = weights.latentUp else { return }
        let (attention, rank) = (config.attention, latent.rank)
        let sizes = LatentShape(attention, latent)
        try projectQueries(layer, weights, q)
        rotate(q)
        grow(q)
        try hooks.emit(.rotatedQuery, layer, q)
        let (content, shared) = try projectToLatent(layer, weights, latent)
        if Self.expandedSites.contains(where: { hooks.wants($0, layer) }) {
            let k = matrix(.key, columns: attention.keyWidth)
            let v = matrix(.value, columns: attention.keyWidth)
            try expand(layer, weights, latent, content, shared, keys: k, values: v)
            rotate(k)
            try hooks.emit(.rotatedKey, layer, k)
        }

        rotate(shared, headSize: attention.rotatedSize, from: 0)
        let width = rank + attention.rotatedSize
        let rows = matrix(.latentRows, columns: width)
        backend.copy(content, into: rows.columns(0..<rank))
        backend.copy(shared, into: rows.columns(rank..<width))
        let queries = matrix(.latentQueries, columns: attention.headCount * width)
        let sums = matrix(.latentSums, columns: attention.headCount * width)
        backend.absorb(q, up, sizes, into: queries)
        let own = shape(layer, weights)
        let shape = AttentionShape(
            heads: own.heads, groups: 1, headSize: width, slidingWindow: own.slidingWindow, scale: own.scale,
            sinks: own.sinks)
        try withSummaries(layer) { backend, summary, sinkMass in
            backend.store(rows, nil, in: cache, layer: layer)
            backend.attention(
                queries, cache, layer: layer, into: sums, shape, summary: summary, sinkMass: sinkMass)
        }
        let heads = matrix(.latentHeads, columns: attention.outputWidth)
        backend.expandValues(sums, up.values, sizes, into: heads)
        backend.pad(heads, heads: attention.headCount, into: z)

        guard hooks.wants(.scores, layer) || hooks.wants(.pattern, layer) else { return }
        let cached = backend.load(cache, layer: layer, rows: startPosition + x.rows).keys
        try withExtendedLifetime(cached) {
            let count = cached.matrix.rows
            let keys = OwnedMatrix(rows: count, columns: attention.keyWidth)
            let values = OwnedMatrix(rows: count, columns: attention.keyWidth)
            let (content, shared) = (cached.matrix.columns(0..<rank), cached.matrix.columns(rank..<width))
            expand(up.joined, latent, content, shared, keys: keys.matrix, values: values.matrix) { _ in }
            try materialize(layer, q, keys: keys.matrix, values: values.matrix, z, own)
        }
    }

    /// Where keys and values of every head are seen.
    private static let expandedSites: [HookSite] = [.keyProjection, .key, .rotatedKey, .valueProjection, .value]

    private mutating func projectQueries(_ layer: Int, _ weights: Weights.Layer, _ q: Matrix) throws {
        let tensors = weights.tensors
        if let down = tensors[.queryDown], let up = tensors[.queryUp], let norm = weights.queryDownNorm {
            let low = matrix(.queryLatent, columns: down.shape[0])
            backend.project(normed, down, into: low)
            backend.rmsNorm(low, weight: norm.weight, epsilon: Self.latentEpsilon, into: low)
            backend.project(low, up, into: q)
        } else {
            backend.project(normed, tensors.query, into: q)
        }
        try hooks.emit(.queryProjection, layer, q)
        try hooks.emit(.query, layer, q)
    }

    /// The latent after its norm, [T, c], and the elements of keys that all heads share, before the rotation.
    private mutating func projectToLatent(
        _ layer: Int, _ weights: Weights.Layer, _ latent: AttentionConfig.Latent
    ) throws -> (content: Matrix, shared: Matrix) {
        let (rank, width) = (latent.rank, latent.rank + config.attention.rotatedSize)
        let low = matrix(.latent, columns: width)
        let content = matrix(.latentContent, columns: rank)
        if let down = weights.tensors[.latentDown], let norm = weights.latentNorm {
            backend.project(normed, down, into: low)
            backend.rmsNorm(low.columns(0..<rank), weight: norm.weight, epsilon: Self.latentEpsilon, into: content)
        }
        try hooks.emit(.keyValueLatent, layer, content)
        return (content, low.columns(rank..<width))
    }

    /// Keys and padded values of every head, seen by hooks.
    private mutating func expand(
        _ layer: Int, _ weights: Weights.Layer, _ latent: AttentionConfig.Latent, _ content: Matrix, _ shared: Matrix,
        keys: Matrix, values: Matrix
    ) throws {
        guard let up = weights.latentUp else { return }
        try expand(up.joined, latent, content, shared, keys: keys, values: values) { own in
            try hooks.emit(.keyProjection, layer, keys)
            try hooks.emit(.key, layer, keys)
            try hooks.emit(.valueProjection, layer, own)
            try hooks.emit(.value, layer, own)
        }
    }

    /// - Parameter seen: gets the values before they are padded, [rows, H · value size].
    private func expand(
        _ up: Tensor, _ latent: AttentionConfig.Latent, _ content: Matrix, _ shared: Matrix, keys: Matrix,
        values: Matrix, _ seen: (Matrix) throws -> Void
    ) rethrows {
        let heads = config.attention.headCount
        let both = matrix(.latentExpanded, rows: content.rows, columns: up.shape[0])
        let own = matrix(.latentValues, rows: content.rows, columns: heads * latent.valueSize)
        // Put together for this product alone: of a large model the matrices of all layers would be gigabytes.
        up.whileHeld { backend.project(content, up, into: both) }
        backend.spread(both, shared: shared, LatentShape(config.attention, latent), keys: keys, values: own)
        try seen(own)
        backend.pad(own, heads: heads, into: values)
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
