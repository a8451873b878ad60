import CKernels
import Foundation
import Tensors

/// What attention needs to know besides its inputs.
struct AttentionShape {
    /// Statistics of `attn.summary`: entropy, first, previous, distance, largest.
    static let statisticCount = 5

    /// Query heads.
    let heads: Int
    /// Key/value heads; a divisor of `heads`.
    let groups: Int
    let headSize: Int
    /// Keys that a query sees, its own included; nil: all before it.
    let slidingWindow: Int?
    /// What scores are multiplied by before the softmax.
    let scale: Float
    /// One logit per query head that takes a share of every row; nil: none.
    var sinks: FloatVector?
}

extension Backend {
    /// z = softmax(q · kᵀ · scale) · v with a causal mask, every document over itself, tile by tile.
    /// - Parameters:
    ///   - q, z: [T, H · d].
    ///   - k, v: [T, G · d].
    ///   - documents: row ranges.
    ///   - summary: [5 · H, T], filled where given.
    ///   - sinkMass: [H, T], filled where given: the shares of the sinks.
    func attention(
        _ q: Matrix, _ k: Matrix, _ v: Matrix, into z: Matrix, documents: [Range<Int>], _ shape: AttentionShape,
        summary: Matrix?, sinkMass: Matrix? = nil
    ) {
        let calls = documents.map { document in
            call(
                q.rows(document), k.rows(document), v.rows(document), z.rows(document), 0, shape,
                summary: summary?.columns(document), sinkMass: sinkMass?.columns(document))
        }
        var tasks: [(document: Int, group: Int, rows: Range<Int>)] = []
        for (index, document) in documents.enumerated() {
            // Late rows see most keys; their tasks are the longest and start first.
            for first in stride(from: 0, to: document.count, by: Self.attentionRows).reversed() {
                for group in 0..<shape.groups {
                    tasks.append((index, group, first..<min(document.count, first + Self.attentionRows)))
                }
            }
        }
        let scratch = attentionScratch(calls)
        pool.run(tasks.count) { task, thread in
            let (document, group, rows) = tasks[task]
            withUnsafePointer(to: calls[document]) {
                ck_attention_rows($0, Int64(group), Int64(rows.lowerBound), Int64(rows.upperBound), scratch[thread])
            }
        }
    }

    /// The same for the rows that follow `cache.count` cached ones; their own keys and values have been stored before.
    func attention(
        _ q: Matrix, _ cache: KeyValueCache, layer: Int, into z: Matrix, _ shape: AttentionShape, summary: Matrix?,
        sinkMass: Matrix? = nil
    ) {
        var attention = call(q, nil, nil, z, cache.count, shape, summary: summary, sinkMass: sinkMass)
        let chunks = (q.rows + Self.attentionRows - 1) / Self.attentionRows
        // Latent attention has one head of keys: where that gives some threads nothing to do, query heads are shared out.
        let parts =
            shape.groups == 1 && chunks < pool.threadCount
            ? (1...pool.threadCount).last { shape.heads % $0 == 0 } ?? 1 : 1
        attention.heads /= Int64(parts)
        reserveScratch(withUnsafePointer(to: attention) { Int(ck_attention_scratch_bytes($0)) })
        let call = CachedCall(
            attention: attention, parts: parts, type: Self.type(cache.type.dtype), rowBytes: cache.headBytes,
            groupBytes: cache.groupBytes, keys: cache.keys(layer), values: cache.values(layer), rows: q.rows,
            scratch: scratchMemory)
        withUnsafePointer(to: call) { context in
            pool.run(call.chunks * shape.groups * parts, context: context) { context, task, thread in
                let call = context.assumingMemoryBound(to: CachedCall.self)
                call.pointee.run(task, thread)
            }
        }
    }

    /// Attention over a cache, as a worker sees it.
    private struct CachedCall {
        /// Of the first part.
        let attention: ck_attention
        /// Equal shares of the query heads; more than 1 only where all share one head of keys.
        let parts: Int
        let type: ck_type
        let rowBytes: Int
        let groupBytes: Int
        let keys: UnsafeRawPointer
        let values: UnsafeRawPointer
        let rows: Int
        let scratch: UnsafePointer<UnsafeMutableRawPointer>

        var chunks: Int { (rows + Backend.attentionRows - 1) / Backend.attentionRows }

        /// The call of one share of the query heads.
        private func part(_ number: Int) -> ck_attention {
            guard number > 0 else { return attention }
            var part = attention
            let first = number * Int(attention.heads)
            part.q = attention.q.map { $0 + first * Int(attention.head_dim) }
            part.out = attention.out.map { $0 + first * Int(attention.head_dim) }
            part.statistics = attention.statistics.map { $0 + first * Int(attention.statistics_head_stride) }
            part.sinks = attention.sinks.map { $0 + first }
            part.sink_mass = attention.sink_mass.map { $0 + first * Int(attention.sink_mass_stride) }
            return part
        }

        func run(_ number: Int, _ thread: Int) {
            let groups = Int(attention.groups)
            let task = number / parts
            let group = task % groups
            // Late rows see most keys, so their tasks start first.
            let first = (chunks - 1 - task / groups) * Backend.attentionRows
            withUnsafePointer(to: part(number % parts)) {
                ck_attention_rows_cached(
                    $0, type, keys + group * groupBytes, rowBytes, values + group * groupBytes, rowBytes, Int64(group),
                    Int64(first), Int64(min(rows, first + Backend.attentionRows)), scratch[thread])
            }
        }
    }

    /// Stores the keys and values of new rows, [rows, G · d] each, after those that are cached.
    /// - Parameter v: nil where the cache has values in its keys' rows.
    func store(_ k: Matrix, _ v: Matrix?, in cache: KeyValueCache, layer: Int) {
        let type = Self.type(cache.type.dtype)
        let (headBytes, groups) = (cache.headBytes, cache.groups)
        forRows(k.rows) { rows in
            for row in rows {
                let place = (cache.count + row) * headBytes
                for group in 0..<groups {
                    let (count, first) = (Int64(cache.headSize), group * cache.headSize)
                    ck_store(type, k.row(row) + first, count, cache.keys(layer) + group * cache.groupBytes + place)
                    guard let v else { continue }
                    ck_store(type, v.row(row) + first, count, cache.values(layer) + group * cache.groupBytes + place)
                }
            }
        }
    }

    /// The first `rows` cached keys and values as f32, [rows, G · d] each, for hooks on scores and patterns.
    func load(_ cache: KeyValueCache, layer: Int, rows: Int) -> (keys: OwnedMatrix, values: OwnedMatrix) {
        let type = Self.type(cache.type.dtype)
        let columns = cache.groups * cache.headSize
        let (keys, values) = (OwnedMatrix(rows: rows, columns: columns), OwnedMatrix(rows: rows, columns: columns))
        forRows(rows) { range in
            for row in range {
                for group in 0..<cache.groups {
                    let (count, first) = (Int64(cache.headSize), group * cache.headSize)
                    let place = row * cache.headBytes
                    ck_dequantize(
                        type, cache.keys(layer) + group * cache.groupBytes + place, count, keys.matrix.row(row) + first)
                    ck_dequantize(
                        type, cache.values(layer) + group * cache.groupBytes + place, count,
                        values.matrix.row(row) + first)
                }
            }
        }
        return (keys, values)
    }

    /// Keys that a row must see to be multiplied on tiles, where the processor has them.
    private static func tilesFrom(_ mode: ck_mode) -> Int64 { mode == CK_FAST ? Int64(CK_ATTENTION_TILES_FROM) : 0 }

    /// Query rows per task.
    private static let attentionRows = 128

    private func call(
        _ q: Matrix, _ k: Matrix?, _ v: Matrix?, _ z: Matrix, _ startPosition: Int, _ shape: AttentionShape,
        summary: Matrix? = nil, sinkMass: Matrix? = nil
    ) -> ck_attention {
        ck_attention(
            q: q.base, k: k?.base, v: v?.base, out: z.base, q_stride: Int64(q.stride), k_stride: Int64(k?.stride ?? 0),
            v_stride: Int64(v?.stride ?? 0), out_stride: Int64(z.stride), heads: Int64(shape.heads),
            groups: Int64(shape.groups), head_dim: Int64(shape.headSize), position: Int64(startPosition),
            window: Int64(shape.slidingWindow ?? 0), scale: shape.scale, statistics: summary?.base,
            statistics_stride: Int64(shape.heads * (summary?.stride ?? 0)),
            statistics_head_stride: Int64(summary?.stride ?? 0), sinks: UnsafePointer(shape.sinks?.base),
            sink_mass: sinkMass?.base, sink_mass_stride: Int64(sinkMass?.stride ?? 0), tiles_from: Self.tilesFrom(mode))
    }

    /// Bytes of scratch memory a thread needs for attention.
    static func attentionScratchBytes(_ shape: AttentionShape, _ precision: Precision) -> Int {
        var call = ck_attention()
        call.heads = Int64(shape.heads)
        call.groups = Int64(shape.groups)
        call.head_dim = Int64(shape.headSize)
        call.tiles_from = tilesFrom(mode(precision))
        return withUnsafePointer(to: call) { Int(ck_attention_scratch_bytes($0)) }
    }

    private func attentionScratch(_ calls: [ck_attention]) -> UnsafePointer<UnsafeMutableRawPointer> {
        reserveScratch(calls.map { withUnsafePointer(to: $0) { Int(ck_attention_scratch_bytes($0)) } }.max() ?? 0)
        return scratchMemory
    }

    /// Scaled and masked scores of one head over one document, [rows, keys]; −∞ where a key may not be seen.
    func attentionScores(
        _ q: Matrix, _ k: Matrix, head: Int, startPosition: Int, _ shape: AttentionShape, into scores: Matrix
    ) {
        forQueries(call(q, k, k, q, startPosition, shape), rows: q.rows) { call, first, end, scratch in
            ck_attention_scores(
                call, Int64(head), first, end, Int64(k.rows), scores.row(Int(first)), Int64(scores.stride), scratch)
        }
    }

    /// scores = softmax(scores) of one head, every row, with a sink's share taken out; −∞ becomes 0.
    /// - Parameter sinks: one logit per head.
    func softmax(_ scores: Matrix, sink head: Int, of sinks: FloatVector) {
        let sink = sinks.base[head]
        forRows(scores.rows, chunk: 16) { rows in
            for row in rows {
                let values = scores.row(row)
                var most = sink
                for key in 0..<scores.columns { most = max(most, values[key]) }
                var sum = exp(sink - most)
                for key in 0..<scores.columns {
                    values[key] = exp(values[key] - most)
                    sum += values[key]
                }
                for key in 0..<scores.columns { values[key] /= sum }
            }
        }
    }

    /// z = pattern · v for one head of one document; pattern [rows, keys].
    func applyPattern(_ pattern: Matrix, _ v: Matrix, head: Int, _ shape: AttentionShape, into z: Matrix) {
        forQueries(call(z, v, v, z, 0, shape), rows: z.rows) { call, first, end, scratch in
            ck_attention_apply(
                call, Int64(head), first, end, Int64(v.rows), pattern.row(Int(first)), Int64(pattern.stride), scratch)
        }
    }

    /// Runs `body` on ranges of 64 query rows, in parallel.
    private func forQueries(
        _ call: ck_attention, rows: Int,
        _ body: (UnsafePointer<ck_attention>, _ first: Int64, _ end: Int64, UnsafeMutableRawPointer) -> Void
    ) {
        let scratch = attentionScratch([call])
        pool.run((rows + 63) / 64) { task, thread in
            withUnsafePointer(to: call) {
                body($0, Int64(task * 64), Int64(min(rows, task * 64 + 64)), scratch[thread])
            }
        }
    }
}
