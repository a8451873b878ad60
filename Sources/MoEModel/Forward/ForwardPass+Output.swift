import Foundation
import Hooks
import Tensors

extension ForwardPass {
    /// Last norm and, where asked for, log-probabilities: the N × V logits exist only when a hook asks for them.
    mutating func finish(logprobs: Bool) throws -> [Float] {
        kernels.norm(x, model.weights.finalNorm, config, into: normed)
        try hooks.emit(.finalNorm, nil, normed.base, [x.rows, x.columns])
        statistics?.add(.output, normed)

        let logits = try emitLogits()
        guard logprobs else { return [] }
        return try withExtendedLifetime(logits) { try logProbabilities(logits?.matrix) }
    }

    /// Last norm and the logits, [V], after the last row.
    mutating func lastLogits(into logits: inout [Float]) throws {
        kernels.norm(x, model.weights.finalNorm, config, into: normed)
        try hooks.emit(.finalNorm, nil, normed.base, [x.rows, x.columns])
        let count = config.vocabularySize
        let computed = try emitLogits()
        let last = computed?.matrix.rows(x.rows - 1..<x.rows) ?? workspace.matrix(.logits, rows: 1, columns: count)
        if computed == nil {
            kernels.project(
                normed.rows(x.rows - 1..<x.rows), model.weights.tensors.output, into: last, workspace.attentionInput)
            finishLogits(last.base, 0..<count)
        }
        try withExtendedLifetime(computed) {
            try checkFinite(UnsafeBufferPointer(start: last.base, count: count), nil)
            if logits.count != count { logits = [Float](repeating: 0, count: count) }
            logits.withUnsafeMutableBufferPointer { $0.baseAddress?.update(from: last.base, count: count) }
        }
    }

    /// What some families do to logits of consecutive vocabulary entries: bias, division.
    private func finishLogits(_ logits: UnsafeMutablePointer<Float>, _ entries: Range<Int>) {
        if let bias = model.weights.outputBias {
            for (place, entry) in entries.enumerated() { logits[place] += bias.base[entry] }
        }
        if config.multipliers.logitDivisor != 1 {
            for place in 0..<entries.count { logits[place] /= config.multipliers.logitDivisor }
        }
    }

    private mutating func emitLogits() throws -> OwnedMatrix? {
        guard hooks.wants(.logits, nil) else { return nil }
        let output = model.weights.tensors.output
        let logits = OwnedMatrix(rows: x.rows, columns: config.vocabularySize)
        let packed = kernels.pack(normed, for: output.dtype, into: workspace.attentionInput)
        kernels.multiply(1) { _ in Kernels.Product(x: packed, weights: output, y: logits.matrix) }
        for row in 0..<x.rows { finishLogits(logits.matrix.row(row), 0..<config.vocabularySize) }
        try hooks.emit(.logits, nil, logits.matrix.base, [x.rows, config.vocabularySize])
        return logits
    }

    /// log p(token at row i | rows before it), from the logits of row i − 1 of the same document.
    func logProbabilities(_ logits: Matrix?) throws -> [Float] {
        var result = [Float](repeating: .nan, count: x.rows)
        let predicting = batch.documents.flatMap { $0.dropLast().map(Int32.init) }
        guard !predicting.isEmpty else { return result }
        let targets = predicting.map { batch.tokens[Int($0) + 1] }
        let output = model.weights.tensors.output
        let scores = predicting.withUnsafeBufferPointer { rows in
            kernels.logProbabilities(
                of: targets, rows: rows, features: normed, output: output, logits: logits, workspace,
                finish: finishLogits)
        }
        try scores.withUnsafeBufferPointer { try checkFinite($0, nil) }
        for (index, row) in predicting.enumerated() { result[Int(row) + 1] = scores[index] }
        return result
    }
}

extension Kernels {
    /// Vocabulary entries per tile. Fixed, because the last bits of a sum depend on where tiles begin.
    static let vocabularyTile = 1024

    /// log softmax(features[rows[i]] · Outputᵀ)[targets[i]], by a running log-sum-exp over vocabulary tiles; from
    /// `logits` [T, V] where they exist already.
    fileprivate func logProbabilities(
        of targets: [Int32], rows: UnsafeBufferPointer<Int32>, features: Matrix, output: Tensor, logits: Matrix?,
        _ workspace: Workspace, finish: (UnsafeMutablePointer<Float>, Range<Int>) -> Void
    ) -> [Float] {
        let count = targets.count
        let vocabulary = output.shape[0]
        let tileCount = (vocabulary + Self.vocabularyTile - 1) / Self.vocabularyTile
        let maxima = workspace.memory(.tileMaxima, Float.self, count: tileCount * count)
        let sums = workspace.memory(.tileSums, Float.self, count: tileCount * count)
        let targetLogits = workspace.memory(.targetLogits, Float.self, count: count)

        packGroups(
            1, columns: features.columns, for: output.dtype, into: workspace.attentionInput, rows: { _ in count }
        ) { _ in (features, rows.baseAddress) }
        let packed = workspace.attentionInput.groups[0]
        forTiles(of: packed, times: output, width: Self.vocabularyTile, computing: logits == nil) {
            chunkRows, tile, columns, computed in
            for row in chunkRows {
                let tileLogits =
                    logits.map { $0.row(Int(rows[row])) + columns.lowerBound }
                    ?? computed + (row - chunkRows.lowerBound) * columns.count
                if logits == nil { finish(tileLogits, columns) }
                let slot = tile * count + row
                (maxima[slot], sums[slot]) = (-.infinity, 0)
                logSumExp(tileLogits, columns.count, maxima + slot, sums + slot)
                let target = Int(targets[row])
                if columns.contains(target) { targetLogits[row] = tileLogits[target - columns.lowerBound] }
            }
        }
        return (0..<count).map { row in
            var largest = -Float.infinity
            for tile in 0..<tileCount { largest = max(largest, maxima[tile * count + row]) }
            var sum: Float = 0
            for tile in 0..<tileCount {
                sum += sums[tile * count + row] * exp(maxima[tile * count + row] - largest)
            }
            return targetLogits[row] - (largest + log(sum))
        }
    }
}
