import CKernels
import Tensors

/// gpt-oss's (u + 1) · g · σ(α · g), with g = min(gate, limit) and u = up within ± limit, both with their biases.
struct ClampedGate {
    /// [E, F]
    let gateBias: FloatVector
    /// [E, F]
    let upBias: FloatVector
    let alpha: Float
    let limit: Float
}

extension Backend {
    /// Bytes of scratch memory that each thread comes to use in passes over this many rows.
    static func scratchBytes(
        _ dtype: DType, _ precision: Precision, rows: Int, columns: Int, _ shape: AttentionShape
    ) -> Int {
        let chunk = min(rows, Int(ck_chunk_rows(type(dtype), mode(precision))))
        let product = [mode(precision), fineMode(precision)].map {
            ck_matmul_scratch_bytes(type(dtype), $0, Int64(chunk), Int64(columns))
        }
        // Beside the product's own: a tile of logits, or of one half of SwiGLU.
        return max(
            Int(product.max() ?? 0) + vocabularyTile * chunk * MemoryLayout<Float>.stride,
            attentionScratchBytes(shape, precision))
    }

    /// One product of a grouped call: y = x · Wᵀ for packed rows x.
    struct Product {
        let x: PackedRows
        let weights: Tensor
        let y: Matrix
    }

    /// A weight matrix as the kernels take it.
    struct Operand {
        let type: ck_type
        let base: UnsafeRawPointer?
        let rowBytes: Int

        init(_ tensor: Tensor) {
            type = Backend.type(tensor.dtype)
            base = tensor.bytes.baseAddress
            rowBytes = tensor.rowBytes
        }
    }

    /// A tile of one product, or of both products of SwiGLU's first half. It holds addresses only, so that worker threads
    /// retain and release nothing.
    fileprivate struct Tile {
        let weights: Operand
        let up: Operand?
        let columns: Int
        let packed: UnsafeMutableRawPointer
        let rows: Int
        let features: Range<Int>
        /// Biases of the tile's matrices, from feature 0 on; nil where the product is not clamped.
        var gateBias: UnsafePointer<Float>?
        var upBias: UnsafePointer<Float>?
        /// Feature 0 of the tile's first row.
        let y: UnsafeMutablePointer<Float>
        let stride: Int

        func multiply(
            _ operand: Operand, _ mode: ck_mode, into y: UnsafeMutablePointer<Float>, stride: Int,
            _ scratch: UnsafeMutableRawPointer
        ) {
            // ck_matmul writes feature j to y + j, counted from feature 0.
            ck_matmul(
                operand.type, mode, operand.base, operand.rowBytes, Int64(features.lowerBound),
                Int64(features.upperBound), Int64(columns), packed, Int64(rows), y, Int64(stride), scratch)
        }
    }

    /// The tiles of one parallel loop. The list is filled again for each loop, so that decoding allocates nothing.
    final class TileList {
        fileprivate var tiles: [Tile] = []
        fileprivate var scratchBytes = 0
        /// Features of the widest tile, and rows of the highest.
        fileprivate var widest = 0
        fileprivate var rows = 0
        fileprivate var bounds: (alpha: Float, limit: Float) = (1, 0)
        fileprivate var mode = CK_EXACT

        /// What a worker needs besides its number.
        fileprivate struct Call {
            let tiles: UnsafePointer<Tile>
            let scratch: UnsafePointer<UnsafeMutableRawPointer>
            let mode: ck_mode
            /// Where the second half of SwiGLU begins in scratch memory.
            let upOffset: Int
            let alpha: Float
            let limit: Float
        }
    }

    /// Output features per task: few enough that all threads have work, enough to pay for a task.
    /// - Parameters:
    ///   - rows: of a chunk. The product of a few rows takes as long as reading the weights, and threads end together where a task
    ///     reads little.
    private func tileFeatures(features: Int, chunks: Int, rows: Int, rowBytes: Int) -> Int {
        let wanted = pool.threadCount * 4
        let most = rows > Self.fewRows ? 512 : max(64, min(512, Self.tileBytes / max(1, rowBytes) / 32 * 32))
        guard pool.threadCount > 1, chunks < wanted else { return min(features, most) }
        let tiles = max(1, wanted / max(1, chunks))
        return max(32, min(most, (features / tiles + 31) / 32 * 32))
    }

    private static let fewRows = 4
    /// Bytes of weights that a task reads for a few rows, about twenty microseconds.
    private static let tileBytes = 512 << 10

    private func arrangeTiles(
        _ count: Int, clamp: ClampedGate? = nil, from expert: Int = 0, _ product: (Int) -> (Product, up: Tensor?)
    ) {
        let list = tileList
        list.tiles.removeAll(keepingCapacity: true)
        (list.scratchBytes, list.widest, list.rows) = (0, 0, 0)
        if count > 0 { list.mode = product(0).0.x.mode }
        var chunks = 0
        for index in 0..<count { chunks += product(index).0.x.chunkCount }
        for index in 0..<count {
            let (product, up) = product(index)
            let weights = Operand(product.weights)
            let upWeights = up.map { Operand($0) }
            let rows = min(product.x.rows, product.x.mostRows)
            list.rows = max(list.rows, rows)
            list.scratchBytes = max(list.scratchBytes, matmulScratch(weights.type, product.x, rows: rows))
            if let upWeights {
                list.scratchBytes = max(list.scratchBytes, matmulScratch(upWeights.type, product.x, rows: rows))
            }
            let features = product.weights.shape[0]
            let step = tileFeatures(
                features: features, chunks: chunks, rows: rows, rowBytes: weights.rowBytes)
            list.widest = max(list.widest, min(step, features))
            var first = 0
            while first < features {
                for chunk in 0..<product.x.chunkCount {
                    let range = product.x.rowsOfChunk(chunk)
                    list.tiles.append(
                        Tile(
                            weights: weights, up: upWeights, columns: product.x.columns,
                            packed: product.x.chunk(chunk), rows: range.count,
                            features: first..<min(features, first + step),
                            gateBias: clamp.map { UnsafePointer($0.gateBias.base) + (expert + index) * features },
                            upBias: clamp.map { UnsafePointer($0.upBias.base) + (expert + index) * features },
                            y: product.y.row(range.lowerBound),
                            stride: product.y.stride))
                }
                first += step
            }
        }
        list.scratchBytes = (list.scratchBytes + 63) / 64 * 64
    }

    private func matmulScratch(_ type: ck_type, _ x: PackedRows, rows: Int) -> Int {
        Int(ck_matmul_scratch_bytes(type, x.mode, Int64(rows), Int64(x.columns)))
    }

    private func runTiles(_ body: ThreadPool.Task) {
        tileList.tiles.withUnsafeBufferPointer { tiles in
            guard let base = tiles.baseAddress else { return }
            let call = TileList.Call(
                tiles: base, scratch: scratchMemory, mode: tileList.mode, upOffset: tileList.scratchBytes,
                alpha: tileList.bounds.alpha, limit: tileList.bounds.limit)
            withUnsafePointer(to: call) { pool.run(tiles.count, context: $0, body) }
        }
    }

    /// Runs `count` products as one parallel loop.
    func multiply(_ count: Int, _ product: (Int) -> Product) {
        arrangeTiles(count) { (product($0), nil) }
        reserveScratch(tileList.scratchBytes)
        runTiles { context, task, thread in
            let call = context.assumingMemoryBound(to: TileList.Call.self).pointee
            let tile = call.tiles[task]
            tile.multiply(tile.weights, call.mode, into: tile.y, stride: tile.stride, call.scratch[thread])
        }
    }

    /// h = silu(x · Gᵀ) ⊙ (x · Uᵀ) for several experts, the first half of SwiGLU. One task computes both products of a tile.
    /// - Parameters:
    ///   - clamp: what gpt-oss does instead of silu(gate) ⊙ up, with the biases of all experts.
    ///   - expert: the first expert.
    func multiplyGated(
        _ count: Int, clamp: ClampedGate? = nil, from expert: Int = 0,
        _ product: (Int) -> (gate: Product, up: Tensor)
    ) {
        arrangeTiles(count, clamp: clamp, from: expert) { index in
            let (gate, up) = product(index)
            return (gate, up)
        }
        tileList.bounds = clamp.map { ($0.alpha, $0.limit) } ?? (1, 0)
        reserveScratch(
            tileList.scratchBytes + tileList.widest * tileList.rows * MemoryLayout<Float>.stride)
        runTiles { context, task, thread in
            let call = context.assumingMemoryBound(to: TileList.Call.self).pointee
            let tile = call.tiles[task]
            guard let up = tile.up else { return }
            let scratch = call.scratch[thread]
            tile.multiply(tile.weights, call.mode, into: tile.y, stride: tile.stride, scratch)
            let values = (scratch + call.upOffset).assumingMemoryBound(to: Float.self)
            let count = tile.features.count
            tile.multiply(up, call.mode, into: values - tile.features.lowerBound, stride: count, scratch)
            if let gateBias = tile.gateBias, let upBias = tile.upBias {
                let first = tile.features.lowerBound
                for row in 0..<tile.rows {
                    let out = tile.y + row * tile.stride + first
                    ck_clamped_swiglu(
                        out, gateBias + first, values + row * count, upBias + first, call.alpha, call.limit,
                        Int64(count), out)
                }
                return
            }
            for row in 0..<tile.rows {
                let out = tile.y + row * tile.stride + tile.features.lowerBound
                ck_silu_mul(out, values + row * count, Int64(count), out)
            }
        }
    }

    // MARK: Projections

    /// y = x · Wᵀ
    /// - Parameter isFinal: the final projection, whose logits are the same however they are computed.
    func project(_ x: Matrix, _ weights: Tensor, into y: Matrix, isFinal: Bool = false) {
        let packed = pack(x, for: weights.dtype, isFinal ? mode : fineMode)
        multiply(1) { _ in Product(x: packed, weights: weights, y: y) }
    }

    /// Three products of the same rows, which are packed once where the weights are of one kind.
    func project(
        _ x: Matrix, _ first: (weights: Tensor, y: Matrix), _ second: (weights: Tensor, y: Matrix),
        _ third: (weights: Tensor, y: Matrix)
    ) {
        let isDense = { (tensor: Tensor) in tensor.dtype.blockElements == 1 }
        guard isDense(first.weights) == isDense(second.weights), isDense(first.weights) == isDense(third.weights) else {
            project(x, first.weights, into: first.y)
            project(x, second.weights, into: second.y)
            project(x, third.weights, into: third.y)
            return
        }
        let packed = pack(x, for: first.weights.dtype, fineMode)
        multiply(3) { index in
            let (weights, y) = index == 0 ? first : index == 1 ? second : third
            return Product(x: packed, weights: weights, y: y)
        }
    }

    /// h = silu(x · Gᵀ) ⊙ (x · Uᵀ)
    func projectGated(_ x: Matrix, gate: Tensor, up: Tensor, into hidden: Matrix) {
        let packed = pack(x, for: gate.dtype, mode)
        multiplyGated(1) { _ in (Product(x: packed, weights: gate, y: hidden), up) }
    }

    /// Visits a product tile by tile without keeping it: `body(rows, tile, features, values)` gets `values`
    /// [rows, features] in scratch memory, uninitialized where `computing` is false.
    /// - Parameter step: output features per tile.
    func forTiles(
        of x: PackedRows, times weights: Tensor, step: Int, computing: Bool,
        _ body: (Range<Int>, Int, Range<Int>, UnsafeMutablePointer<Float>) -> Void
    ) {
        let features = weights.shape[0]
        let tileCount = (features + step - 1) / step
        let operand = Operand(weights)
        let rows = min(x.rows, x.mostRows)
        let matmulBytes = (matmulScratch(operand.type, x, rows: rows) + 63) / 64 * 64
        reserveScratch(matmulBytes + step * rows * MemoryLayout<Float>.stride)
        let scratch = scratchMemory
        pool.run(tileCount * x.chunkCount) { task, thread in
            let (tile, chunk) = (task / x.chunkCount, task % x.chunkCount)
            let columns = tile * step..<min(features, (tile + 1) * step)
            let rows = x.rowsOfChunk(chunk)
            let values = (scratch[thread] + matmulBytes).assumingMemoryBound(to: Float.self)
            if computing {
                Tile(
                    weights: operand, up: nil, columns: x.columns, packed: x.chunk(chunk), rows: rows.count,
                    features: columns, y: values - columns.lowerBound, stride: columns.count
                ).multiply(operand, x.mode, into: values - columns.lowerBound, stride: columns.count, scratch[thread])
            }
            body(rows, tile, columns, values)
        }
    }
}
