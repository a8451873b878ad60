import Checkpoints
import Hooks
import Tensors

extension ForwardPass {
    /// Grouped-query causal attention (arXiv 2305.13245) of every document over itself; the result is in `branch`.
    mutating func attend(_ layer: Int, _ weights: LayerTensors) throws {
        let (rows, headSize) = (x.rows, config.headSize)
        let (heads, groups) = (config.headCount, config.keyValueHeadCount)
        let q = workspace.matrix(.query, rows: rows, columns: heads * headSize)
        let k = workspace.matrix(.key, rows: rows, columns: groups * headSize)
        let v = workspace.matrix(.value, rows: rows, columns: groups * headSize)
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
        kernels.attention(q, k, v, into: z, documents: batch.documents, shape, summary: summary)
        if let summary {
            try hooks.emit(.attentionSummary, layer, summary, AttentionShape.statisticCount, heads, rows)
        }
        try materialize(layer, q, k, v, z, shape)
        try hooks.emit(.headOutputs, layer, z.base, rows, heads, headSize)

        kernels.project(z, [(weights.attentionOutput, branch)], workspace.attentionOutput)
    }

    private func rotate(_ heads: Matrix) {
        for document in batch.documents {
            kernels.forRows(document.count) { rows in
                let first = document.lowerBound + rows.lowerBound
                kernels.rotate(
                    heads.rows(first..<first + rows.count), headSize: config.headSize, rotary, position: rows.lowerBound
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
            let length = document.count
            let pattern = OwnedMatrix(rows: heads.count * length, columns: length)
            for (place, head) in heads.enumerated() {
                kernels.attentionScores(
                    q.rows(document), k.rows(document), v.rows(document), head: head, shape,
                    into: pattern.matrix.rows(place * length..<(place + 1) * length))
            }
            try hooks.emit(
                .scores, layer, document: index, heads: heads, length: length, pattern.matrix.base)
            kernels.softmax(pattern.matrix)
            try hooks.emit(
                .pattern, layer, document: index, heads: heads, length: length, pattern.matrix.base)
            guard isEdited else { continue }
            for (place, head) in heads.enumerated() {
                kernels.applyPattern(
                    pattern.matrix.rows(place * length..<(place + 1) * length), v.rows(document), head: head, shape,
                    into: z.rows(document))
            }
        }
    }
}
