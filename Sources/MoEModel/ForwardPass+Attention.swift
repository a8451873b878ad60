import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// Grouped-query causal attention (arXiv 2305.13245) of every document over itself; the result is in `branch`.
    mutating func attend(_ layer: Int, _ weights: LayerTensors) throws {
        let (rows, headSize) = (x.rows, config.headSize)
        let (heads, groups) = (config.headCount, config.keyValueHeadCount)
        let q = workspace.matrix(.query, rows: rows, columns: heads * headSize)
        let keys = cache?.keys(layer, extra: rows) ?? workspace.matrix(.key, rows: rows, columns: groups * headSize)
        let values =
            cache?.values(layer, extra: rows) ?? workspace.matrix(.value, rows: rows, columns: groups * headSize)
        // The rows of this batch: all of them, or those after the cached ones.
        let k = keys.rows(startPosition..<startPosition + rows)
        let v = values.rows(startPosition..<startPosition + rows)
        let z = workspace.matrix(.headOutputs, rows: rows, columns: heads * headSize)

        kernels.project(normed, [(weights.query, q), (weights.key, k), (weights.value, v)], workspace.attentionInput)
        try hooks.emit(.query, layer, q.base, rows, heads, headSize)
        try hooks.emit(.key, layer, k.base, rows, groups, headSize)
        try hooks.emit(.value, layer, v.base, rows, groups, headSize)

        rotate(q)
        rotate(k)
        try hooks.emit(.rotatedQuery, layer, q.base, rows, heads, headSize)
        try hooks.emit(.rotatedKey, layer, k.base, rows, groups, headSize)

        let summary =
            hooks.wants(.attentionSummary, layer)
            ? workspace.memory(.summary, Float.self, count: AttentionShape.statisticCount * heads * rows) : nil
        let shape = AttentionShape(
            heads: heads, groups: groups, headSize: headSize, slidingWindow: config.slidingWindow,
            scale: 1 / Float(headSize).squareRoot())
        kernels.attention(
            q, keys, values, into: z, documents: batch.documents, startPosition: startPosition, shape, summary: summary)
        if let summary {
            try hooks.emit(.attentionSummary, layer, summary, AttentionShape.statisticCount, heads, rows)
        }
        try materialize(layer, q, keys, values, z, shape)
        try hooks.emit(.headOutputs, layer, z.base, rows, heads, headSize)

        kernels.project(z, [(weights.attentionOutput, branch)], workspace.attentionOutput)
    }

    private func rotate(_ heads: Matrix) {
        for document in batch.documents {
            kernels.forRows(document.count) { rows in
                let first = document.lowerBound + rows.lowerBound
                kernels.rotate(
                    heads.rows(first..<first + rows.count), headSize: config.headSize, rotary,
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
