import CKernels
import Tensors

extension Kernels {
    /// Rows packed for products, in chunks so that a product can be split over rows as well as over output features.
    /// What is packed for one type serves every type of its kind, plain or quantized.
    struct PackedRows {
        static let chunkRows = 256
        let rows: Int
        let columns: Int
        let chunkBytes: Int
        fileprivate let memory: UnsafeMutableRawPointer

        var chunkCount: Int { (rows + Self.chunkRows - 1) / Self.chunkRows }
        func rowsOfChunk(_ chunk: Int) -> Range<Int> {
            chunk * Self.chunkRows..<min(rows, (chunk + 1) * Self.chunkRows)
        }
        fileprivate func chunk(_ index: Int) -> UnsafeMutableRawPointer { memory + index * chunkBytes }
    }

    /// Where groups of rows are packed to; grows, never shrinks.
    final class PackingBuffer {
        /// What was packed last.
        private(set) var groups: [PackedRows] = []
        fileprivate var chunks: [(group: Int, chunk: Int)] = []
        private var buffer = AlignedBuffer(byteCount: 0)

        /// Room for groups of rows, and the list of their chunks.
        fileprivate func arrange(
            _ groupCount: Int, columns: Int, rows: (Int) -> Int, bytes: (Int) -> (chunk: Int, total: Int)
        ) {
            groups.removeAll(keepingCapacity: true)
            chunks.removeAll(keepingCapacity: true)
            var total = 0
            for group in 0..<groupCount { total += bytes(rows(group)).total }
            if buffer.byteCount < total { buffer = AlignedBuffer(byteCount: total) }
            var offset = 0
            for group in 0..<groupCount {
                let size = bytes(rows(group))
                let packed = PackedRows(
                    rows: rows(group), columns: columns, chunkBytes: size.chunk, memory: buffer.memory + offset)
                for chunk in 0..<packed.chunkCount { chunks.append((group, chunk)) }
                groups.append(packed)
                offset += size.total
            }
        }
    }

    /// Bytes of rows packed for products with weights of a type, as `WorkingMemory` counts them.
    static func packedBytes(_ dtype: DType, _ precision: Precision, rows: Int, columns: Int) -> Int {
        ck_activation_bytes(type(dtype), precision == .exact ? CK_EXACT : CK_FAST, Int64(rows), Int64(columns))
    }

    /// Bytes of scratch memory each thread comes to use in passes over this many rows.
    static func scratchBytes(
        _ dtype: DType, _ precision: Precision, rows: Int, columns: Int, _ shape: AttentionShape
    ) -> Int {
        let chunk = min(rows, PackedRows.chunkRows)
        let product = ck_matmul_scratch_bytes(
            type(dtype), precision == .exact ? CK_EXACT : CK_FAST, Int64(chunk), Int64(columns))
        // Beside the product's own: a tile of logits, or of one half of SwiGLU.
        return max(
            Int(product) + vocabularyTile * chunk * MemoryLayout<Float>.stride, attentionScratchBytes(shape))
    }

    private func packedBytes(_ type: ck_type, rows: Int, columns: Int) -> (chunk: Int, total: Int) {
        let full = ck_activation_bytes(type, mode, Int64(min(rows, PackedRows.chunkRows)), Int64(columns))
        let chunk = (full + 63) / 64 * 64
        return (chunk, chunk * ((rows + PackedRows.chunkRows - 1) / PackedRows.chunkRows))
    }

    /// Packs the rows of `x` for products with weights of `dtype`.
    func pack(_ x: Matrix, for dtype: DType, into buffer: PackingBuffer) -> PackedRows {
        packGroups(1, columns: x.columns, for: dtype, into: buffer, rows: { _ in x.rows }) { _ in (x, nil) }
        return buffer.groups[0]
    }

    /// Packs several groups of rows at once: `rows(g)` rows of `source(g)`, gathered where it gives row numbers. They are
    /// in `buffer.groups` until it is packed to again.
    func packGroups(
        _ groupCount: Int, columns: Int, for dtype: DType, into buffer: PackingBuffer, rows: (Int) -> Int,
        source: (Int) -> (Matrix, UnsafePointer<Int32>?)
    ) {
        let type = Self.type(dtype)
        buffer.arrange(groupCount, columns: columns, rows: rows) {
            packedBytes(type, rows: $0, columns: columns)
        }
        func pack(_ task: Int) {
            let (group, chunk) = buffer.chunks[task]
            let packed = buffer.groups[group]
            let (x, gather) = source(group)
            let rows = packed.rowsOfChunk(chunk)
            ck_pack_activations(
                type, mode, gather == nil ? x.row(rows.lowerBound) : x.base, Int64(x.stride),
                gather.map { $0 + rows.lowerBound }, Int64(rows.count), Int64(columns), 0, Int64(rows.count),
                packed.chunk(chunk))
        }
        // A few rows are packed sooner than another thread is told of them.
        let rowCount = buffer.groups.reduce(0) { $0 + $1.rows }
        if rowCount <= 8 {
            for task in buffer.chunks.indices { pack(task) }
        } else {
            pool.run(buffer.chunks.count) { task, _ in pack(task) }
        }
    }

    /// One product of a grouped call: y = x · Wᵀ for packed rows x.
    struct Product {
        let x: PackedRows
        let weights: Tensor
        let y: Matrix
    }

    /// A weight matrix as the kernels take it.
    fileprivate struct Operand {
        let type: ck_type
        let base: UnsafeRawPointer?
        let rowBytes: Int

        init(_ tensor: Tensor) {
            type = Kernels.type(tensor.dtype)
            base = tensor.bytes.baseAddress
            rowBytes = tensor.rowBytes
        }
    }

    /// A tile of one product, or of both of SwiGLU's, resolved to addresses: a worker counts no references.
    fileprivate struct Tile {
        let weights: Operand
        let up: Operand?
        let columns: Int
        let packed: UnsafeMutableRawPointer
        let rows: Int
        let features: Range<Int>
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

    /// The tiles of one parallel loop; filled anew for each, so that decoding allocates nothing.
    final class TileList {
        fileprivate var tiles: [Tile] = []
        fileprivate var scratchBytes = 0
        fileprivate var widest = 0

        /// What a worker needs besides its number.
        fileprivate struct Call {
            let tiles: UnsafePointer<Tile>
            let scratch: UnsafePointer<UnsafeMutableRawPointer>
            let mode: ck_mode
            /// Where the second half of SwiGLU begins in scratch memory.
            let upOffset: Int
        }
    }

    /// Output features per task: enough tasks to keep the threads even, wide enough to pay for a task.
    private func tileWidth(features: Int, chunks: Int) -> Int {
        let wanted = pool.threadCount * 4
        guard pool.threadCount > 1, chunks < wanted else { return min(features, 512) }
        let tiles = max(1, wanted / max(1, chunks))
        return max(32, min(512, (features / tiles + 31) / 32 * 32))
    }

    private func arrangeTiles(_ count: Int, _ product: (Int) -> (Product, up: Tensor?)) {
        let list = tileList
        list.tiles.removeAll(keepingCapacity: true)
        (list.scratchBytes, list.widest) = (0, 0)
        var chunks = 0
        for index in 0..<count { chunks += product(index).0.x.chunkCount }
        for index in 0..<count {
            let (product, up) = product(index)
            let weights = Operand(product.weights)
            let upWeights = up.map { Operand($0) }
            let rows = min(product.x.rows, PackedRows.chunkRows)
            list.scratchBytes = max(list.scratchBytes, matmulScratch(weights.type, rows: rows, product.x.columns))
            if let upWeights {
                list.scratchBytes = max(list.scratchBytes, matmulScratch(upWeights.type, rows: rows, product.x.columns))
            }
            let features = product.weights.shape[0]
            let width = tileWidth(features: features, chunks: chunks)
            list.widest = max(list.widest, min(width, features))
            var first = 0
            while first < features {
                for chunk in 0..<product.x.chunkCount {
                    let range = product.x.rowsOfChunk(chunk)
                    list.tiles.append(
                        Tile(
                            weights: weights, up: upWeights, columns: product.x.columns,
                            packed: product.x.chunk(chunk), rows: range.count,
                            features: first..<min(features, first + width), y: product.y.row(range.lowerBound),
                            stride: product.y.stride))
                }
                first += width
            }
        }
        list.scratchBytes = (list.scratchBytes + 63) / 64 * 64
    }

    private func matmulScratch(_ type: ck_type, rows: Int, _ columns: Int) -> Int {
        Int(ck_matmul_scratch_bytes(type, mode, Int64(rows), Int64(columns)))
    }

    private func runTiles(_ body: ThreadPool.Task) {
        tileList.tiles.withUnsafeBufferPointer { tiles in
            guard let base = tiles.baseAddress else { return }
            let call = TileList.Call(
                tiles: base, scratch: scratchMemory, mode: mode, upOffset: tileList.scratchBytes)
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

    /// SwiGLU's first half for several experts: h = silu(x · Gᵀ) ⊙ (x · Uᵀ), both products of a tile by one task.
    func multiplyGated(_ count: Int, _ product: (Int) -> (gate: Product, up: Tensor)) {
        arrangeTiles(count) { index in
            let (gate, up) = product(index)
            return (gate, up)
        }
        reserveScratch(
            tileList.scratchBytes + tileList.widest * PackedRows.chunkRows * MemoryLayout<Float>.stride)
        runTiles { context, task, thread in
            let call = context.assumingMemoryBound(to: TileList.Call.self).pointee
            let tile = call.tiles[task]
            guard let up = tile.up else { return }
            let scratch = call.scratch[thread]
            tile.multiply(tile.weights, call.mode, into: tile.y, stride: tile.stride, scratch)
            let values = (scratch + call.upOffset).assumingMemoryBound(to: Float.self)
            let count = tile.features.count
            tile.multiply(up, call.mode, into: values - tile.features.lowerBound, stride: count, scratch)
            for row in 0..<tile.rows {
                let out = tile.y + row * tile.stride + tile.features.lowerBound
                ck_silu_mul(out, values + row * count, Int64(count), out)
            }
        }
    }

    /// y = x · Wᵀ for one matrix.
    func project(_ x: Matrix, _ weights: Tensor, into y: Matrix, _ buffer: PackingBuffer) {
        let packed = pack(x, for: weights.dtype, into: buffer)
        multiply(1) { _ in Product(x: packed, weights: weights, y: y) }
    }

    /// Three products with the same rows, which are packed once for those whose weights are of one kind.
    func project(
        _ x: Matrix, _ first: (weights: Tensor, y: Matrix), _ second: (weights: Tensor, y: Matrix),
        _ third: (weights: Tensor, y: Matrix), _ buffer: PackingBuffer
    ) {
        let isPlain = { (tensor: Tensor) in tensor.dtype.blockElements == 1 }
        guard isPlain(first.weights) == isPlain(second.weights), isPlain(first.weights) == isPlain(third.weights) else {
            project(x, first.weights, into: first.y, buffer)
            project(x, second.weights, into: second.y, buffer)
            project(x, third.weights, into: third.y, buffer)
            return
        }
        let packed = pack(x, for: first.weights.dtype, into: buffer)
        multiply(3) { index in
            let (weights, y) = index == 0 ? first : index == 1 ? second : third
            return Product(x: packed, weights: weights, y: y)
        }
    }

    /// Visits a product tile by tile without keeping it: `body(rows, tile, features, values)` gets `values`
    /// [rows, features] in scratch memory; uninitialized where `computing` is false.
    func forTiles(
        of x: PackedRows, times weights: Tensor, width: Int, computing: Bool,
        _ body: (Range<Int>, Int, Range<Int>, UnsafeMutablePointer<Float>) -> Void
    ) {
        let features = weights.shape[0]
        let tileCount = (features + width - 1) / width
        let operand = Operand(weights)
        let rows = min(x.rows, PackedRows.chunkRows)
        let matmulBytes = (matmulScratch(operand.type, rows: rows, x.columns) + 63) / 64 * 64
        reserveScratch(matmulBytes + width * PackedRows.chunkRows * MemoryLayout<Float>.stride)
        let scratch = scratchMemory
        pool.run(tileCount * x.chunkCount) { task, thread in
            let (tile, chunk) = (task / x.chunkCount, task % x.chunkCount)
            let columns = tile * width..<min(features, (tile + 1) * width)
            let rows = x.rowsOfChunk(chunk)
            let values = (scratch[thread] + matmulBytes).assumingMemoryBound(to: Float.self)
            if computing {
                Tile(
                    weights: operand, up: nil, columns: x.columns, packed: x.chunk(chunk), rows: rows.count,
                    features: columns, y: values - columns.lowerBound, stride: columns.count
                ).multiply(operand, mode, into: values - columns.lowerBound, stride: columns.count, scratch[thread])
            }
            body(rows, tile, columns, values)
        }
    }
}
