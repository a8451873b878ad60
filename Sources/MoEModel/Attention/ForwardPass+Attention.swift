import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// Grouped-query causal attention (arXiv 2305.13245) of every document over itself; the result is in `branch`.
    mutating func attend(_ layer: Int, _ weights: Weights.Layer) throws {
        let (rows, headSize) = (x.rows, config.attention.headSize)
        let (heads, groups) = (config.attention.headCount, config.attention.keyValueHeadCount)
        let q = workspace.matrix(.query, rows: rows, columns: heads * headSize)
        let k = workspace.matrix(.key, rows: rows, columns: groups * headSize)
        let v = workspace.matrix(.value, rows: rows, columns: groups * headSize)
        let z = workspace.matrix(.headOutputs, rows: rows, columns: heads * headSize)

        let tensors = weights.tensors
        statistics?.add(.attention(layer: layer), normed)
        kernels.project(
            normed, (tensors.query, q), (tensors.key, k), (tensors.value, v), workspace.attentionInput)
        finishProjection(q, bias: weights.queryBias, norm: weights.queryNorm)
        finishProjection(k, bias: weights.keyBias, norm: weights.keyNorm)
        finishProjection(v, bias: weights.valueBias, norm: nil)
        try hooks.emit(.query, layer, q.base, [rows, heads, headSize])
        try hooks.emit(.key, layer, k.base, [rows, groups, headSize])
        try hooks.emit(.value, layer, v.base, [rows, groups, headSize])

        rotate(q)
        rotate(k)
        try hooks.emit(.rotatedQuery, layer, q.base, [rows, heads, headSize])
        try hooks.emit(.rotatedKey, layer, k.base, [rows, groups, headSize])

        let summary =
            hooks.wants(.attentionSummary, layer)
            ? workspace.memory(.summary, Float.self, count: AttentionShape.statisticCount * heads * rows) : nil
        let shape = AttentionShape(
            heads: heads, groups: groups, headSize: headSize, slidingWindow: config.layers[layer].attention.window,
            scale: config.attention.scale ?? 1 / Float(headSize).squareRoot())
        if let cache {
            kernels.store(k, v, in: cache, layer: layer)
            kernels.attention(q, cache, layer: layer, into: z, shape, summary: summary)
        } else {
            kernels.attention(q, k, v, into: z, documents: batch.documents, shape, summary: summary)
        }
        if let summary {
            try hooks.emit(.attentionSummary, layer, summary, [AttentionShape.statisticCount, heads, rows])
        }
        try materialize(layer, q, k, v, z, shape)
        try hooks.emit(.headOutputs, layer, z.base, [rows, heads, headSize])

        statistics?.add(.attentionOutput(layer: layer), z)
        kernels.project(z, tensors.attentionOutput, into: branch, workspace.attentionOutput)
        if let bias = weights.attentionOutputBias { kernels.addBias(bias, to: branch) }
    }

    /// What some families do to a projection: bias, a norm over each head or over the whole, clipping.
    private func finishProjection(_ heads: Matrix, bias: FloatVector?, norm: Weights.Norm?) {
        if let bias { kernels.addBias(bias, to: heads) }
        if let norm {
            let width = norm.weight.count
            for first in stride(from: 0, to: heads.columns, by: width) {
                let part = Matrix(heads.base + first, rows: heads.rows, columns: width, stride: heads.stride)
                kernels.rmsNorm(part, weight: norm.weight.base, epsilon: config.norm.epsilon, into: part)
            }
        }
        if let limit = config.attention.projectionClip { kernels.clip(heads, to: limit) }
    }

    private func rotate(_ heads: Matrix) {
        for document in batch.documents {
            let rotary = model.rotaryTable(positions: startPosition + document.count)
            kernels.forRows(document.count) { rows in
                let first = document.lowerBound + rows.lowerBound
                kernels.rotate(
                    heads.rows(first..<first + rows.count), headSize: config.attention.headSize, rotary,
                    position: startPosition + rows.lowerBound
                )
            }
        }
    }

    /// Scores and patterns as whole matrices, for the documents and heads that hooks ask for. Where they are edited,
    /// the head outputs are computed again from the edited pattern; where they are only seen, nothing changes.
    private mutating func materialize(
        _ layer: Int, _ q: Matrix, _ k: Matrix, _ v: Matrix, _ z: Matrix, _ shape: AttentionShape
    ) throws {
        guard hooks.wants(.scores, layer) || hooks.wants(.pattern, layer) else { return }
        let cached = cache.map { kernels.load($0, layer: layer, rows: startPosition + x.rows) }
        let (k, v) = (cached?.keys.matrix ?? k, cached?.values.matrix ?? v)
        let heads = hooks.hooks.heads(layer: layer)
        let isEdited = hooks.hooks.edits(.scores, layer: layer) || hooks.hooks.edits(.pattern, layer: layer)
        for (index, document) in batch.documents.enumerated() {
            let (queries, visible) = (document.count, startPosition + document.count)
            let seen = document.lowerBound..<document.lowerBound + visible
            let pattern = OwnedMatrix(rows: heads.count * queries, columns: visible)
            let ofHead = { (place: Int) in pattern.matrix.rows(place * queries..<(place + 1) * queries) }
            for (place, head) in heads.enumerated() {
                kernels.attentionScores(
                    q.rows(document), k.rows(seen), head: head, startPosition: startPosition, shape, into: ofHead(place)
                )
            }
            try hooks.emit(.scores, layer, document: index, heads: heads, pattern.matrix)
            kernels.softmax(pattern.matrix)
            try hooks.emit(.pattern, layer, document: index, heads: heads, pattern.matrix)
            guard isEdited else { continue }
            for (place, head) in heads.enumerated() {
                kernels.applyPattern(ofHead(place), v.rows(seen), head: head, shape, into: z.rows(document))
            }
        }
    }
}
