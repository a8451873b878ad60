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

    /// Queries that meet latents in place of keys: each head's own elements times the rows that expand the keys, its rotated
    /// elements behind them. In f32 whatever the precision, every row alone.
    /// - Parameters:
    ///   - q: [T, H · d], rotated.
    ///   - up: [H · (d − rotated + value size), c], keys before values in each head.
    ///   - out: [T, H · (c + rotated)].
    func absorb(_ q: Matrix, _ up: Tensor, _ shape: LatentShape, into out: Matrix) {
        run(LatentCall(q, up, shape, into: out, expandsValues: false, scratch: latentScratch(shape)))
    }

    /// Head outputs from sums of latents: the rows that expand the values, times each head's sum.
    /// - Parameters:
    ///   - sums: [T, H · (c + rotated)]; what is behind the latent is not used.
    ///   - out: [T, H · value size].
    func expandValues(_ sums: Matrix, _ up: Tensor, _ shape: LatentShape, into out: Matrix) {
        run(LatentCall(sums, up, shape, into: out, expandsValues: true, scratch: latentScratch(shape)))
    }

    private func latentScratch(_ shape: LatentShape) -> UnsafePointer<UnsafeMutableRawPointer> {
        reserveScratch(shape.rank * MemoryLayout<Float>.stride)
        return scratchMemory
    }

    private func run(_ call: LatentCall) {
        withUnsafePointer(to: call) { context in
            pool.run(call.shape.heads * call.chunks, context: context) { context, task, thread in
                context.assumingMemoryBound(to: LatentCall.self).pointee.run(task, thread)
            }
        }
    }
}

/// A product of rows with each head's part of what expands latents, as a worker sees it: a task is one head and some rows, for
/// which each line of weights is dequantized once.
private struct LatentCall {
    let shape: LatentShape
    let chunks: Int
    private let x: Matrix
    private let out: Matrix
    private let expandsValues: Bool
    private let type: ck_type
    private let weights: UnsafeRawPointer?
    private let rowBytes: Int
    private let scratch: UnsafePointer<UnsafeMutableRawPointer>

    private static let rowsPerTask = 64

    init(
        _ x: Matrix, _ up: Tensor, _ shape: LatentShape, into out: Matrix, expandsValues: Bool,
        scratch: UnsafePointer<UnsafeMutableRawPointer>
    ) {
        (self.x, self.out, self.shape, self.expandsValues, self.scratch) = (x, out, shape, expandsValues, scratch)
        chunks = (x.rows + Self.rowsPerTask - 1) / Self.rowsPerTask
        (type, weights, rowBytes) = (Backend.type(up.dtype), up.bytes.baseAddress, up.rowBytes)
    }

    func run(_ task: Int, _ thread: Int) {
        guard let weights else { return }
        let (head, first) = (task / chunks, task % chunks * Self.rowsPerTask)
        let rows = first..<min(x.rows, first + Self.rowsPerTask)
        let part = weights + head * (shape.ownSize + shape.valueSize) * rowBytes
        let line = scratch[thread].assumingMemoryBound(to: Float.self)
        if expandsValues {
            expandValues(head, rows, part + shape.ownSize * rowBytes, line)
        } else {
            absorb(head, rows, part, line)
        }
    }

    private func absorb(
        _ head: Int, _ rows: Range<Int>, _ weights: UnsafeRawPointer, _ line: UnsafeMutablePointer<Float>
    ) {
        let (own, rank) = (shape.ownSize, shape.rank)
        for row in rows { (out.row(row) + head * shape.width).update(repeating: 0, count: rank) }
        for element in 0..<own {
            ck_dequantize(type, weights + element * rowBytes, Int64(rank), line)
            for row in rows {
                let factor = x.row(row)[head * shape.headSize + element]
                ck_add_scaled(line, factor, Int64(rank), out.row(row) + head * shape.width)
            }
        }
        for row in rows {
            (out.row(row) + head * shape.width + rank).update(
                from: x.row(row) + head * shape.headSize + own, count: shape.rotatedSize)
        }
    }

    private func expandValues(
        _ head: Int, _ rows: Range<Int>, _ weights: UnsafeRawPointer, _ line: UnsafeMutablePointer<Float>
    ) {
        for element in 0..<shape.valueSize {
            ck_dequantize(type, weights + element * rowBytes, Int64(shape.rank), line)
            for row in rows {
                out.row(row)[head * shape.valueSize + element] = ck_dot(
                    line, x.row(row) + head * shape.width, Int64(shape.rank))
            }
        }
    }
}
