import CKernels
import Foundation
import Tensors

/// What some families do to the logits, in this order: a bias for each vocabulary entry, then a division.
struct LogitTransform {
    /// [V]
    var bias: FloatVector?
    var divisor: Float

    /// Applies it to the logits of consecutive vocabulary entries.
    fileprivate func apply(_ logits: UnsafeMutablePointer<Float>, _ entries: Range<Int>) {
        if let bias {
            for (place, entry) in entries.enumerated() { logits[place] += bias.base[entry] }
        }
        if divisor != 1 {
            for place in 0..<entries.count { logits[place] /= divisor }
        }
    }
}

extension Backend {
    /// Vocabulary entries per tile. It is fixed because the last bits of a sum depend on where tiles begin.
    static let vocabularyTile = 1024

    /// logits = transform(features · Outputᵀ)
    /// - Parameters:
    ///   - features: [rows, D].
    ///   - output: [V, D].
    ///   - logits: [rows, V].
    func logits(_ features: Matrix, _ output: Tensor, _ transform: LogitTransform, into logits: Matrix) {
        project(features, output, into: logits, isFinal: true)
        self.transform(logits, transform)
    }

    /// logits = transform(logits), [rows, V]
    func transform(_ logits: Matrix, _ transform: LogitTransform) {
        for row in 0..<logits.rows { transform.apply(logits.row(row), 0..<logits.columns) }
    }

    /// log softmax(transform(features[rows[i]] · Outputᵀ))[targets[i]] for each i, natural logarithms, by a running
    /// log-sum-exp over vocabulary tiles; the logits of all rows never exist at once.
    /// - Parameter logits: [T, V], read instead of computing a product where they exist already.
    func logProbabilities(
        of targets: [Int32], rows: [Int32], features: Matrix, output: Tensor, _ transform: LogitTransform,
        logits: Matrix?
    ) -> [Float] {
        let count = targets.count
        let vocabulary = output.shape[0]
        let tileCount = (vocabulary + Self.vocabularyTile - 1) / Self.vocabularyTile
        let maxima = workspace.memory(.tileMaxima, Float.self, count: tileCount * count)
        let sums = workspace.memory(.tileSums, Float.self, count: tileCount * count)
        let targetLogits = workspace.memory(.targetLogits, Float.self, count: count)

        rows.withUnsafeBufferPointer { rows in
            packGroups(1, columns: features.columns, for: output.dtype, mode, rows: { _ in count }) { _ in
                (features, rows.baseAddress)
            }
            forTiles(of: packing.groups[0], times: output, step: Self.vocabularyTile, computing: logits == nil) {
                chunkRows, tile, columns, computed in
                for row in chunkRows {
                    let tileLogits =
                        logits.map { $0.row(Int(rows[row])) + columns.lowerBound }
                        ?? computed + (row - chunkRows.lowerBound) * columns.count
                    if logits == nil { transform.apply(tileLogits, columns) }
                    let slot = tile * count + row
                    (maxima[slot], sums[slot]) = (-.infinity, 0)
                    ck_logsumexp_tile(
                        tileLogits, Int64(columns.count), 1, Int64(columns.count), maxima + slot, sums + slot)
                    let target = Int(targets[row])
                    if columns.contains(target) { targetLogits[row] = tileLogits[target - columns.lowerBound] }
                }
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
