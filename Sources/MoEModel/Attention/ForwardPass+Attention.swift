import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// branch = grouped-query causal attention (arXiv 2305.13245) of every document over itself, from `normed`.
    mutating func attend(_ layer: Int, _ weights: Weights.Layer) throws {
        let tensors = weights.tensors
        let q = matrix(.query, columns: config.attention.queryWidth)
        let z = matrix(.headOutputs, columns: config.attention.queryWidth)

        statistics?.add(.attention(layer: layer), normed, backend)
        if let latent = config.attention.latent, let cache {
            try attend(layer, weights, latent, cache, q, z)
        } else {
            try attend(layer, weights, q, z)
        }
        if let gate = tensors[.attentionGate] {
            let gates = matrix(.headGates, columns: config.attention.queryWidth)
            backend.project(normed, gate, into: gates)
            backend.multiply(z, bySigmoidOf: gates)
        }
        let heads = config.attention.latent.map { ownValues(z, $0) } ?? z
        try hooks.emit(.headOutputs, layer, heads)

        statistics?.add(.attentionOutput(layer: layer), heads, backend)
        backend.project(heads, tensors.attentionOutput, into: branch)
        if let bias = weights.attentionOutputBias { backend.addBias(bias, to: branch) }
    }

    /// z = the head outputs, [T, H · d], from keys and values of every head.
    private mutating func attend(_ layer: Int, _ weights: Weights.Layer, _ q: Matrix, _ z: Matrix) throws {
        let k = matrix(.key, columns: config.attention.keyWidth)
        let v = matrix(.value, columns: config.attention.keyWidth)
        if let latent = config.attention.latent {
            try projectLatent(layer, weights, latent, q, k, v)
        } else {
            try project(layer, weights, q, k, v)
        }

        if !config.attention.rotary.skipsFullLayers || config.layers[layer].attention != .full {
            rotate(q)
            rotate(k)
        }
        if config.attention.normalizesAfterRotation {
            normalize(q, weights.queryNorm)
            normalize(k, weights.keyNorm)
        }
        grow(q)
        try hooks.emit(.rotatedQuery, layer, q)
        try hooks.emit(.rotatedKey, layer, k)

        let shape = shape(layer, weights)
        let (cache, documents) = (cache, batch.documents)
        try withSummaries(layer) { backend, summary, sinkMass in
            if let cache {
                backend.store(k, v, in: cache, layer: layer)
                backend.attention(q, cache, layer: layer, into: z, shape, summary: summary, sinkMass: sinkMass)
            } else {
                backend.attention(
                    q, k, v, into: z, documents: documents, shape, summary: summary, sinkMass: sinkMass)
            }
        }
        try materialize(layer, q, k, v, z, shape)
    }

    /// What a layer's attention is made of, with keys and values of every head.
    func shape(_ layer: Int, _ weights: Weights.Layer) -> AttentionShape {
        AttentionShape(
            heads: config.attention.headCount, groups: config.attention.keyValueHeadCount,
            headSize: config.attention.headSize, slidingWindow: config.layers[layer].attention.window,
            scale: config.attention.scale ?? 1 / Float(config.attention.headSize).squareRoot(), sinks: weights.sinks)
    }

    /// Runs attention with room for the statistics that hooks ask for, and hands them over.
    mutating func withSummaries(
        _ layer: Int, _ attention: (Backend, _ summary: Matrix?, _ sinkMass: Matrix?) -> Void
    ) throws {
        let heads = config.attention.headCount
        let summary =
            hooks.wants(.attentionSummary, layer)
            ? matrix(.summary, rows: AttentionShape.statisticCount * heads, columns: x.rows) : nil
        let sinkMass = hooks.wants(.sinks, layer) ? matrix(.sinkMass, rows: heads, columns: x.rows) : nil
        attention(backend, summary, sinkMass)
        if let summary { try hooks.emit(.attentionSummary, layer, summary) }
        if let sinkMass { try hooks.emit(.sinks, layer, sinkMass) }
    }

    /// Queries, keys and values as they are before the rotation.
    private mutating func project(
        _ layer: Int, _ weights: Weights.Layer, _ q: Matrix, _ k: Matrix, _ v: Matrix
    ) throws {
        let tensors = weights.tensors
        backend.project(normed, (tensors.query, q), (tensors.key, k), (tensors.value, v))
        if let bias = weights.queryBias { backend.addBias(bias, to: q) }
        if let bias = weights.keyBias { backend.addBias(bias, to: k) }
        if let bias = weights.valueBias { backend.addBias(bias, to: v) }
        try hooks.emit(.queryProjection, layer, q)
        try hooks.emit(.keyProjection, layer, k)
        try hooks.emit(.valueProjection, layer, v)
        let normsAfter = config.attention.normalizesAfterRotation
        finishProjection(q, norm: normsAfter ? nil : weights.queryNorm)
        finishProjection(k, norm: normsAfter ? nil : weights.keyNorm)
        finishProjection(v, norm: nil)
        try hooks.emit(.query, layer, q)
        try hooks.emit(.key, layer, k)
        try hooks.emit(.value, layer, v)
    }

    /// What some families do to a projection, [T, heads · d]: a norm over each head or over all of them, clipping.
    private func finishProjection(_ heads: Matrix, norm: Weights.Norm?) {
        normalize(heads, norm)
        if let limit = config.attention.projectionClip { backend.clip(heads, to: limit) }
    }

    private func normalize(_ heads: Matrix, _ norm: Weights.Norm?) {
        guard let norm else { return }
        let size = norm.weight.count
        for first in stride(from: 0, to: heads.columns, by: size) {
            let part = heads.columns(first..<first + size)
            backend.rmsNorm(part, weight: norm.weight, epsilon: config.norm.epsilon, into: part)
        }
    }

    /// Turns heads, [T, heads · d], in place; of latent attention the last elements of each, of other families the first.
    func rotate(_ heads: Matrix) {
        let unrotated = config.attention.latent == nil ? 0 : config.attention.headSize - config.attention.rotatedSize
        rotate(heads, headSize: config.attention.headSize, from: unrotated)
    }

    /// Multiplies queries by what their positions ask for.
    func grow(_ q: Matrix) {
        guard let growth = config.attention.queryGrowth else { return }
        for document in batch.documents { backend.grow(q.rows(document), growth, position: startPosition) }
    }

    func rotate(_ heads: Matrix, headSize: Int, from unrotated: Int) {
        for document in batch.documents {
            let positions = startPosition + document.count
            let table = model.rotaryTable(
                positions: positions, isLong: cache?.isLong ?? RotaryTable.isLong(config, positions: positions))
            backend.rotate(
                heads.rows(document), headSize: headSize, from: unrotated, table, position: startPosition)
        }
    }

    /// Scores and patterns as whole matrices, for the documents and heads that hooks ask for. Where they are edited, the head
    /// outputs are computed again from the edited pattern; where they are only seen, nothing changes.
    private mutating func materialize(
        _ layer: Int, _ q: Matrix, _ k: Matrix, _ v: Matrix, _ z: Matrix, _ shape: AttentionShape
    ) throws {
        guard hooks.wants(.scores, layer) || hooks.wants(.pattern, layer) else { return }
        guard let cache else { return try materialize(layer, q, keys: k, values: v, z, shape) }
        let cached = backend.load(cache, layer: layer, rows: startPosition + x.rows)
        try withExtendedLifetime(cached) {
            try materialize(layer, q, keys: cached.keys.matrix, values: cached.values.matrix, z, shape)
        }
    }

    mutating func materialize(
        _ layer: Int, _ q: Matrix, keys: Matrix, values: Matrix, _ z: Matrix, _ shape: AttentionShape
    ) throws {
        let heads = hooks.hooks.heads(layer: layer)
        let isEdited = hooks.hooks.edits(.scores, layer: layer) || hooks.hooks.edits(.pattern, layer: layer)
        for (index, document) in batch.documents.enumerated() {
            let (queries, visible) = (document.count, startPosition + document.count)
            let seen = document.lowerBound..<document.lowerBound + visible
            try backend.withTemporary(rows: heads.count * queries, columns: visible) { pattern in
                func ofHead(_ place: Int) -> Matrix { pattern.rows(place * queries..<(place + 1) * queries) }
                for (place, head) in heads.enumerated() {
                    backend.attentionScores(
                        q.rows(document), keys.rows(seen), head: head, startPosition: startPosition, shape,
                        into: ofHead(place))
                }
                try hooks.emit(.scores, layer, document: index, heads: heads, pattern)
                if let sinks = shape.sinks {
                    for (place, head) in heads.enumerated() {
                        backend.softmax(ofHead(place), sink: head, of: sinks)
                    }
                } else {
                    backend.softmax(pattern)
                }
                try hooks.emit(.pattern, layer, document: index, heads: heads, pattern)
                guard isEdited else { return }
                for (place, head) in heads.enumerated() {
                    backend.applyPattern(ofHead(place), values.rows(seen), head: head, shape, into: z.rows(document))
                }
            }
        }
    }
}
