import CKernels
import Checkpoints
import Tensors

/// How activations are represented in the large products. The router, softmax, norms and log-probabilities are f32 in
/// both.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// f32 activations and accumulation, weights dequantized to f32: the reference.
    case exact
    /// Activations in int8 for quantized weights (AVX2, AVX-512); for others both sides in bf16 (AVX-512) or in 16-bit
    /// blocks, eleven bits and more (AVX2). f32 where the processor has neither instruction set.
    case fast
}

/// The one file that calls CKernels: whole-tensor operations with explicit shapes, run on all threads of a pool.
///
/// A second backend replaces this type and nothing else.
final class Kernels: @unchecked Sendable {
    let pool: ThreadPool
    let precision: Precision
    let mode: ck_mode
    let tileList = TileList()
    /// One growing scratch buffer per thread, used inside one task only, and where each begins.
    private var scratch: [AlignedBuffer]
    private let scratchPlaces: UnsafeMutablePointer<UnsafeMutableRawPointer>

    init(pool: ThreadPool, precision: Precision) {
        self.pool = pool
        self.precision = precision
        mode = precision == .exact ? CK_EXACT : CK_FAST
        scratch = (0..<pool.threadCount).map { _ in AlignedBuffer(byteCount: 0) }
        scratchPlaces = .allocate(capacity: pool.threadCount)
        for (thread, buffer) in scratch.enumerated() {
            (scratchPlaces + thread).initialize(to: buffer.memory)
        }
    }

    deinit { scratchPlaces.deallocate() }

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
            scratchPlaces[thread] = scratch[thread].memory
        }
    }

    /// Where each thread's scratch memory begins, until more is reserved.
    var scratchMemory: UnsafePointer<UnsafeMutableRawPointer> { UnsafePointer(scratchPlaces) }

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
        switch config.norm.kind {
        case .rms: rmsNorm(x, weight: norm.weight.base, epsilon: config.norm.epsilon, into: out)
        case .layer:
            forRows(x.rows) { rows in
                for row in rows {
                    Self.layerNorm(
                        x.row(row), norm.weight.base, norm.bias?.base, config.norm.epsilon, x.columns, out.row(row))
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
