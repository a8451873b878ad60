import CKernels
import Checkpoints
import Foundation
import Tensors

/// The sizes of latent attention's heads.
struct LatentShape {
    let heads: Int
    let headSize: Int
    let rotatedSize: Int
    let valueSize: Int
    let rank: Int

    init(_ attention: AttentionConfig, _ latent: AttentionConfig.Latent) {
        heads = attention.headCount
        headSize = attention.headSize
        rotatedSize = attention.rotatedSize
        valueSize = latent.valueSize
        rank = latent.rank
    }

    /// Elements of a head's keys that are its own.
    var ownSize: Int { headSize - rotatedSize }
    /// A row of the cache, and a head of queries that meet it: the latent, then the rotated elements.
    var width: Int { rank + rotatedSize }
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

    /// q *= 1 + β · ln(1 + ⌊p / period⌋), row by row.
    /// - Parameter position: p of the first row.
    func grow(_ q: Matrix, _ growth: AttentionConfig.QueryGrowth, position: Int) {
        for row in 0..<q.rows {
            let steps = Float((position + row) / growth.period)
            guard steps > 0 else { continue }
            let (factor, values) = (1 + growth.beta * log(1 + steps), q.row(row))
            for column in 0..<q.columns { values[column] *= factor }
        }
    }

    /// Queries that meet latents in place of keys: each head's own elements times what expands its keys, its rotated elements
    /// behind them.
    /// - Parameters:
    ///   - q: [T, H · d], rotated.
    ///   - weights: keys of every head where they lie apart from values; else both in one matrix, whose rows are added up in f32
    ///     whatever the precision, every row alone.
    ///   - out: [T, H · (c + rotated)].
    func absorb(_ q: Matrix, _ weights: Weights.LatentUp, _ shape: LatentShape, into out: Matrix) {
        if !weights.keys.isEmpty {
            multiplyHeads(q, apart: shape.headSize, weights.keys, into: out, apart: shape.width)
        } else {
            reserveScratch(shape.rank * MemoryLayout<Float>.stride)
            let call = AbsorbCall(q, weights.joined, shape, into: out, scratch: scratchMemory)
            withUnsafePointer(to: call) { context in
                pool.run(shape.heads * call.chunks, context: context) { context, task, thread in
                    context.assumingMemoryBound(to: AbsorbCall.self).pointee.run(task, thread)
                }
            }
        }
        for head in 0..<shape.heads {
            let (from, to) = (head * shape.headSize + shape.ownSize, head * shape.width + shape.rank)
            copy(q.columns(from..<from + shape.rotatedSize), into: out.columns(to..<to + shape.rotatedSize))
        }
    }

    /// Head outputs from sums of latents: what expands the values of a head, times its sum.
    /// - Parameters:
    ///   - sums: [T, H · (c + rotated)]; what is behind the latent is not used.
    ///   - values: [m, c] of every head.
    ///   - out: [T, H · value size].
    func expandValues(_ sums: Matrix, _ values: [Tensor], _ shape: LatentShape, into out: Matrix) {
        multiplyHeads(sums, apart: shape.width, values, into: out, apart: shape.valueSize)
    }

    /// y = x · Wᵀ of every head, with a matrix [m, k] of its own: the first k columns of a head of x, to the first m of one of y.
    /// - Parameter apart: columns from one head to the next, of x and of y.
    private func multiplyHeads(_ x: Matrix, apart: Int, _ weights: [Tensor], into y: Matrix, apart yApart: Int) {
        guard let first = weights.first else { return }
        let (features, columns) = (first.shape[0], first.shape[1])
        packGroups(weights.count, columns: columns, for: first.dtype, fineMode, rows: { _ in x.rows }) { head in
            (x.columns(head * apart..<head * apart + columns), nil)
        }
        multiply(weights.count) { head in
            let out = y.columns(head * yApart..<head * yApart + features)
            return Product(x: packing.groups[head], weights: weights[head], y: out)
        }
    }
}

/// A product of queries with each head's part of what expands keys, transposed, as a worker sees it: a task is one head and
/// some rows, for which each line of weights is dequantized once.
private struct AbsorbCall {
    let chunks: Int
    private let shape: LatentShape
    private let x: Matrix
    private let out: Matrix
    private let type: ck_type
    private let weights: UnsafeRawPointer?
    private let rowBytes: Int
    private let scratch: UnsafePointer<UnsafeMutableRawPointer>

    private static let rowsPerTask = 64

    init(
        _ x: Matrix, _ up: Tensor, _ shape: LatentShape, into out: Matrix,
        scratch: UnsafePointer<UnsafeMutableRawPointer>
    ) {
        (self.x, self.out, self.shape, self.scratch) = (x, out, shape, scratch)
        chunks = (x.rows + Self.rowsPerTask - 1) / Self.rowsPerTask
        (type, weights, rowBytes) = (Backend.type(up.dtype), up.bytes.baseAddress, up.rowBytes)
    }

    func run(_ task: Int, _ thread: Int) {
        guard let weights else { return }
        let (head, first) = (task / chunks, task % chunks * Self.rowsPerTask)
        let rows = first..<min(x.rows, first + Self.rowsPerTask)
        let part = weights + head * (shape.ownSize + shape.valueSize) * rowBytes
        let line = scratch[thread].assumingMemoryBound(to: Float.self)
        for row in rows { (out.row(row) + head * shape.width).update(repeating: 0, count: shape.rank) }
        for element in 0..<shape.ownSize {
            ck_dequantize(type, part + element * rowBytes, Int64(shape.rank), line)
            for row in rows {
                let factor = x.row(row)[head * shape.headSize + element]
                ck_add_scaled(line, factor, Int64(shape.rank), out.row(row) + head * shape.width)
            }
        }
    }
}
