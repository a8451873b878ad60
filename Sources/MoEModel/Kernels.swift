import CKernels
import Checkpoints
import Tensors

/// How activations are represented in the large products. The router, softmax, norms and log-probabilities are f32 in
/// both.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// f32 activations and accumulation, weights dequantized to f32: the reference.
    case exact
    /// bf16 or int8 activations on SIMD dot-product instructions.
    case fast
}

/// The one file that calls CKernels: whole-tensor operations with explicit shapes, run on all threads of a pool.
///
/// A second backend replaces this type and nothing else.
final class Kernels: @unchecked Sendable {
    let pool: ThreadPool
    let precision: Precision
    private let mode: ck_mode
    /// One growing scratch buffer per thread, used inside one task only.
    private var scratch: [AlignedBuffer]

    init(pool: ThreadPool, precision: Precision) {
        self.pool = pool
        self.precision = precision
        mode = precision == .exact ? CK_EXACT : CK_FAST
        scratch = (0..<pool.threadCount).map { _ in AlignedBuffer(byteCount: 0) }
    }

    /// Name of the instruction set in use: "scalar", "avx2", "avx512", "neon".
    static var instructionSet: String { String(cString: ck_isa_name(ck_isa_current())) }

    /// Whether products and dequantization have a kernel for a type.
    static func computes(with dtype: DType) -> Bool { dtype == .f32 || type(dtype) != CK_F32 }

    static func type(_ dtype: DType) -> ck_type {
        switch dtype {
        case .f16: CK_F16
        case .bf16: CK_BF16
        case .q4_0: CK_Q4_0
        case .q4_1: CK_Q4_1
        case .q5_0: CK_Q5_0
        case .q5_1: CK_Q5_1
        case .q8_0: CK_Q8_0
        case .q2_k: CK_Q2_K
        case .q3_k: CK_Q3_K
        case .q4_k: CK_Q4_K
        case .q5_k: CK_Q5_K
        case .q6_k: CK_Q6_K
        case .iq4_nl: CK_IQ4_NL
        case .iq4_xs: CK_IQ4_XS
        default: CK_F32
        }
    }

    /// All elements of a tensor as f32.
    static func dequantize(_ tensor: Tensor, into out: UnsafeMutablePointer<Float>) {
        ck_dequantize(type(tensor.dtype), tensor.bytes.baseAddress, Int64(tensor.count), out)
    }

    func reserveScratch(_ byteCount: Int) {
        for thread in scratch.indices where scratch[thread].byteCount < byteCount {
            scratch[thread] = AlignedBuffer(byteCount: byteCount)
        }
    }

    var scratchMemory: [UnsafeMutableRawPointer] { scratch.map(\.memory) }

    // MARK: Matrix products

    /// Rows packed for products, in chunks so that a product can be split over rows as well as over output features.
    struct PackedRows {
        static let chunkRows = 256
        let type: ck_type
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

    /// Where the rows of one expert, or of a whole matrix, are packed to; grows, never shrinks.
    final class PackingBuffer {
        fileprivate var buffer = AlignedBuffer(byteCount: 0)
        fileprivate func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer {
            if buffer.byteCount < byteCount { buffer = AlignedBuffer(byteCount: byteCount) }
            return buffer.memory
        }
    }

    private func packedBytes(_ type: ck_type, rows: Int, columns: Int) -> (chunk: Int, total: Int) {
        let full = ck_activation_bytes(type, mode, Int64(min(rows, PackedRows.chunkRows)), Int64(columns))
        let chunk = (full + 63) / 64 * 64
        return (chunk, chunk * ((rows + PackedRows.chunkRows - 1) / PackedRows.chunkRows))
    }

    /// Packs the rows of `x` for products with weights of `dtype`.
    func pack(_ x: Matrix, for dtype: DType, into buffer: PackingBuffer) -> PackedRows {
        packGroups([x.rows], columns: x.columns, for: dtype, into: buffer) { _ in (x, nil) }[0]
    }

    /// Packs several groups of rows at once: group g's rows are `source(g)`, gathered where it gives row numbers.
    func packGroups(
        _ counts: [Int], columns: Int, for dtype: DType, into buffer: PackingBuffer,
        source: (Int) -> (Matrix, UnsafePointer<Int32>?)
    ) -> [PackedRows] {
        let type = Self.type(dtype)
        let sizes = counts.map { packedBytes(type, rows: $0, columns: columns) }
        let memory = buffer.reserve(sizes.reduce(0) { $0 + $1.total })
        var offset = 0
        var groups: [PackedRows] = []
        var tasks: [(group: Int, chunk: Int)] = []
        for (group, count) in counts.enumerated() {
            let packed = PackedRows(
                type: type, rows: count, columns: columns, chunkBytes: sizes[group].chunk, memory: memory + offset)
            offset += sizes[group].total
            for chunk in 0..<packed.chunkCount { tasks.append((group, chunk)) }
            groups.append(packed)
        }
        pool.run(tasks.count) { task, _ in
            let packed = groups[tasks[task].group]
            let (x, gather) = source(tasks[task].group)
            let rows = packed.rowsOfChunk(tasks[task].chunk)
            let base = gather == nil ? x.row(rows.lowerBound) : x.base
            ck_pack_activations(
                type, mode, base, Int64(x.stride), gather.map { $0 + rows.lowerBound }, Int64(rows.count),
                Int64(columns), 0, Int64(rows.count), packed.chunk(tasks[task].chunk))
        }
        return groups
    }

    /// One product of a grouped call: y = x · Wᵀ for packed rows x.
    struct Product {
        let x: PackedRows
        let weights: Tensor
        let y: Matrix
    }

    /// A tile of one product.
    private struct Tile {
        let product: Int
        let chunk: Int
        let features: Range<Int>
    }

    /// Output features per task: enough tasks to keep the threads even, wide enough to pay for a task.
    private func tileWidth(features: Int, chunks: Int) -> Int {
        let wanted = pool.threadCount * 4
        guard pool.threadCount > 1, chunks < wanted else { return min(features, 512) }
        let tiles = max(1, wanted / max(1, chunks))
        return max(32, min(512, (features / tiles + 31) / 32 * 32))
    }

    private func tiles(of products: [Product]) -> [Tile] {
        let chunks = products.reduce(0) { $0 + $1.x.chunkCount }
        var tiles: [Tile] = []
        for (index, product) in products.enumerated() {
            let features = product.weights.shape[0]
            let width = tileWidth(features: features, chunks: chunks)
            for first in stride(from: 0, to: features, by: width) {
                for chunk in 0..<product.x.chunkCount {
                    tiles.append(
                        Tile(product: index, chunk: chunk, features: first..<min(features, first + width)))
                }
            }
        }
        return tiles
    }

    private func multiply(
        _ product: Product, chunk: Int, features: Range<Int>, into y: UnsafeMutablePointer<Float>, stride: Int,
        scratch: UnsafeMutableRawPointer
    ) {
        let rows = product.x.rowsOfChunk(chunk)
        // ck_matmul writes feature j to y + j, counted from feature 0.
        ck_matmul(
            product.x.type, mode, product.weights.bytes.baseAddress, product.weights.rowBytes,
            Int64(features.lowerBound), Int64(features.upperBound), Int64(product.x.columns), product.x.chunk(chunk),
            Int64(rows.count), y, Int64(stride), scratch)
    }

    private func matmulScratch(_ products: [Product]) -> Int {
        products.map { product in
            Int(
                ck_matmul_scratch_bytes(
                    product.x.type, mode, Int64(min(product.x.rows, PackedRows.chunkRows)), Int64(product.x.columns)))
        }.max() ?? 0
    }

    /// Runs several products as one parallel loop.
    func multiply(_ products: [Product]) {
        let tiles = tiles(of: products)
        reserveScratch(matmulScratch(products))
        let scratch = scratchMemory
        pool.run(tiles.count) { task, thread in
            let tile = tiles[task]
            let product = products[tile.product]
            multiply(
                product, chunk: tile.chunk, features: tile.features,
                into: product.y.row(product.x.rowsOfChunk(tile.chunk).lowerBound), stride: product.y.stride,
                scratch: scratch[thread])
        }
    }

    /// SwiGLU's first half for several experts: h = silu(x · Gᵀ) ⊙ (x · Uᵀ), both products of a tile by one task.
    func multiplyGated(_ products: [(gate: Product, up: Product)]) {
        let gates = products.map(\.gate)
        let tiles = tiles(of: gates)
        let width = tiles.map(\.features.count).max() ?? 0
        let matmulBytes = (max(matmulScratch(gates), matmulScratch(products.map(\.up))) + 63) / 64 * 64
        reserveScratch(matmulBytes + width * PackedRows.chunkRows * MemoryLayout<Float>.stride)
        let scratch = scratchMemory
        pool.run(tiles.count) { task, thread in
            let tile = tiles[task]
            let (gate, up) = products[tile.product]
            let rows = gate.x.rowsOfChunk(tile.chunk)
            let h = gate.y.rows(rows)
            multiply(
                gate, chunk: tile.chunk, features: tile.features, into: h.base, stride: h.stride,
                scratch: scratch[thread])
            let upTile = (scratch[thread] + matmulBytes).assumingMemoryBound(to: Float.self)
            let count = tile.features.count
            multiply(
                up, chunk: tile.chunk, features: tile.features, into: upTile - tile.features.lowerBound, stride: count,
                scratch: scratch[thread])
            for row in 0..<rows.count {
                let out = h.row(row) + tile.features.lowerBound
                ck_silu_mul(out, upTile + row * count, Int64(count), out)
            }
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
        let product = Product(x: x, weights: weights, y: Matrix(scratch[0].bound(to: Float.self), rows: 0, columns: 0))
        let matmulBytes = (matmulScratch([product]) + 63) / 64 * 64
        reserveScratch(matmulBytes + width * PackedRows.chunkRows * MemoryLayout<Float>.stride)
        let scratch = scratchMemory
        pool.run(tileCount * x.chunkCount) { task, thread in
            let (tile, chunk) = (task / x.chunkCount, task % x.chunkCount)
            let columns = tile * width..<min(features, (tile + 1) * width)
            let values = (scratch[thread] + matmulBytes).assumingMemoryBound(to: Float.self)
            if computing {
                multiply(
                    product, chunk: chunk, features: columns, into: values - columns.lowerBound, stride: columns.count,
                    scratch: scratch[thread])
            }
            body(x.rowsOfChunk(chunk), tile, columns, values)
        }
    }

    /// Updates a running maximum and sum of exponentials with `count` logits.
    func logSumExp(
        _ logits: UnsafePointer<Float>, _ count: Int, _ maximum: UnsafeMutablePointer<Float>,
        _ sum: UnsafeMutablePointer<Float>
    ) {
        ck_logsumexp_tile(logits, Int64(count), 1, Int64(count), maximum, sum)
    }

    // MARK: Row by row

    /// Runs `body` on consecutive ranges of rows, in parallel.
    func forRows(_ count: Int, chunk: Int = 64, _ body: (Range<Int>) -> Void) {
        pool.run((count + chunk - 1) / chunk) { task, _ in body(task * chunk..<min(count, (task + 1) * chunk)) }
    }

    /// Root mean square norm of every row (arXiv 1910.07467).
    func rmsNorm(_ x: Matrix, weight: UnsafePointer<Float>, epsilon: Float, into out: Matrix) {
        forRows(x.rows) { rows in
            ck_rmsnorm(
                x.row(rows.lowerBound), Int64(x.stride), weight, epsilon, Int64(rows.count), Int64(x.columns),
                out.row(rows.lowerBound), Int64(out.stride))
        }
    }

    /// The norm of a family: root mean square, or LayerNorm with its bias (arXiv 1607.06450).
    func norm(_ x: Matrix, _ norm: Weights.Norm, _ config: ModelConfig, into out: Matrix) {
        switch config.normKind {
        case .rms: rmsNorm(x, weight: norm.weight.base, epsilon: config.normEpsilon, into: out)
        case .layer:
            forRows(x.rows) { rows in
                for row in rows {
                    Self.layerNorm(
                        x.row(row), norm.weight.base, norm.bias?.base, config.normEpsilon, x.columns, out.row(row))
                }
            }
        }
    }

    private static func layerNorm(
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?, _ epsilon: Float,
        _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        var sum: Float = 0
        for i in 0..<count { sum += x[i] }
        let mean = sum / Float(count)
        var squares: Float = 0
        for i in 0..<count { squares += (x[i] - mean) * (x[i] - mean) }
        let scale = 1 / (squares / Float(count) + epsilon).squareRoot()
        for i in 0..<count { out[i] = (x[i] - mean) * scale * weight[i] + (bias?[i] ?? 0) }
    }

    /// x += scale · y
    func add(_ y: Matrix, times scale: Float, to x: Matrix) {
        forRows(x.rows) { rows in
            for row in rows {
                if scale == 1 {
                    ck_add(x.row(row), y.row(row), Int64(x.columns), x.row(row))
                } else {
                    ck_add_scaled(y.row(row), scale, Int64(x.columns), x.row(row))
                }
            }
        }
    }

    /// x += bias, every row.
    func addBias(_ bias: FloatVector, to x: Matrix) {
        forRows(x.rows) { rows in
            for row in rows { ck_add(x.row(row), bias.base, Int64(x.columns), x.row(row)) }
        }
    }

    func scale(_ x: Matrix, by factor: Float) {
        forRows(x.rows) { rows in
            for row in rows {
                for column in 0..<x.columns { x.row(row)[column] *= factor }
            }
        }
    }

    /// Limits every element to ± `limit`.
    func clip(_ x: Matrix, to limit: Float) {
        forRows(x.rows) { rows in
            for row in rows {
                for column in 0..<x.columns { x.row(row)[column] = min(limit, max(-limit, x.row(row)[column])) }
            }
        }
    }

    /// out += scale · x, one row.
    func add(_ x: UnsafePointer<Float>, times scale: Float, to out: UnsafeMutablePointer<Float>, _ count: Int) {
        ck_add_scaled(x, scale, Int64(count), out)
    }

    /// Rows of the embedding table, dequantized.
    func embed(_ tokens: [Int32], _ embedding: Tensor, into x: Matrix) {
        let type = Self.type(embedding.dtype)
        forRows(tokens.count) { rows in
            for row in rows {
                let source = embedding.bytes.baseAddress.map { $0 + Int(tokens[row]) * embedding.rowBytes }
                ck_dequantize(type, source, Int64(x.columns), x.row(row))
            }
        }
    }

    /// z = x · Rᵀ in f32: few outputs, so dot products do.
    func routerLogits(_ x: Matrix, _ router: UnsafePointer<Float>, into logits: Matrix) {
        forRows(x.rows) { rows in
            for row in rows {
                for expert in 0..<logits.columns {
                    logits.row(row)[expert] = ck_dot(x.row(row), router + expert * x.columns, Int64(x.columns))
                }
            }
        }
    }

    /// Rotates the heads of rows that lie one after the other in a document, starting at `position`.
    func rotate(_ heads: Matrix, headSize: Int, _ table: RotaryTable, position: Int) {
        ck_rope(
            heads.base, Int64(heads.stride), table.cosines(position), table.sines(position), Int64(heads.rows),
            Int64(heads.columns / headSize), Int64(headSize), Int64(headSize),
            table.layout == .halves ? CK_ROPE_HALVES : CK_ROPE_PAIRS)
    }
}
