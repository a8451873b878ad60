import CKernels
import Foundation
import Tensors

/// Whole-tensor operations with shapes, on the processor: each runs on all threads of a pool and returns when it is done.
///
/// The forward pass calls these operations and nothing below them, so that another backend replaces this folder. A
/// `Matrix` is [rows, columns] f32, a weight `Tensor` is [out, in] in the type of its file.
/// One operation runs at a time; a backend is not for use from two threads at once.
final class Backend: @unchecked Sendable {
    let pool: ThreadPool
    let precision: Precision
    /// Of the products that make gate and up, and of the final projection.
    let mode: ck_mode
    /// Of the other products: what they take in weighs more on the choice of experts (`Precision.fast`).
    let fineMode: ck_mode
    /// Memory of the values of a pass.
    let workspace = Workspace()
    /// Rows packed for the product at hand.
    let packing = PackingBuffer()
    let tileList = TileList()
    /// One growing scratch buffer per thread, used inside one task only, and where each begins.
    private var scratch: [AlignedBuffer]
    private let scratchPlaces: UnsafeMutablePointer<UnsafeMutableRawPointer>

    init(pool: ThreadPool, precision: Precision) {
        self.pool = pool
        self.precision = precision
        mode = Self.mode(precision)
        fineMode = Self.fineMode(precision)
        scratch = (0..<pool.threadCount).map { _ in AlignedBuffer(byteCount: 0) }
        scratchPlaces = .allocate(capacity: pool.threadCount)
        for (thread, buffer) in scratch.enumerated() {
            (scratchPlaces + thread).initialize(to: buffer.memory)
        }
    }

    deinit { scratchPlaces.deallocate() }

    /// Name of the instruction set in use: "scalar", "avx2", "avx512", "neon", "amx"; or "amx-twin".
    static var instructionSet: String { String(cString: ck_isa_name(ck_isa_current())) }

    /// Whether products and dequantization have a kernel for a type.
    static func computes(with dtype: DType) -> Bool { dtype == .f32 || type(dtype) != CK_F32 }

    static func mode(_ precision: Precision) -> ck_mode {
        switch precision {
        case .exact: CK_EXACT
        case .precise: CK_PRECISE
        case .fast: CK_FAST
        }
    }

    static func fineMode(_ precision: Precision) -> ck_mode { precision == .fast ? CK_FINE : mode(precision) }

    /// Why products cannot be computed as asked: a precision that the processor has nothing for, or an instruction set that the
    /// environment variable MOESCOPE_ISA names and the processor does not have. nil: they can.
    static func objection(to precision: Precision) -> String? {
        if let name = ProcessInfo.processInfo.environment["MOESCOPE_ISA"], !name.isEmpty {
            var set = CK_SCALAR
            if !ck_isa_named(name, &set) {
                let known = instructionSets.joined(separator: ", ")
                return "MOESCOPE_ISA: expected one of \(known), which this processor can run, found \"\(name)\""
            }
        }
        if precision == .precise, !ck_has_precise() {
            return "precision: \"precise\" needs a processor with AMX, this one computes with \(instructionSet); "
                + "use \"exact\", which is as fast here"
        }
        return nil
    }

    /// Names of the instruction sets that this processor can run.
    static var instructionSets: [String] {
        [CK_SCALAR, CK_NEON, CK_AVX2, CK_AVX512, CK_AMX, CK_AMX_TWIN].filter { ck_isa_available($0) }
            .map { String(cString: ck_isa_name($0)) }
    }

    /// Runs `body` with another instruction set on the calling thread, and on threads that work for it.
    /// - Returns: nil where the processor does not have it.
    static func withInstructionSet<R>(_ name: String, _ body: () throws -> R) rethrows -> R? {
        var set = CK_SCALAR
        guard ck_isa_named(name, &set) else { return nil }
        let before = ck_isa_choice()
        defer { ck_isa_choose(before) }
        _ = ck_isa_select(set)
        return try body()
    }

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
        case .mxfp4: CK_MXFP4
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

    /// Runs `body` on consecutive ranges of rows, in parallel.
    func forRows(_ count: Int, chunk: Int = 64, _ body: (Range<Int>) -> Void) {
        pool.run((count + chunk - 1) / chunk) { task, _ in body(task * chunk..<min(count, (task + 1) * chunk)) }
    }

    /// Lends memory of [rows, columns] for one call.
    func withTemporary<R>(rows: Int, columns: Int, _ body: (Matrix) throws -> R) rethrows -> R {
        let owned = OwnedMatrix(rows: rows, columns: columns)
        return try withExtendedLifetime(owned) { try body(owned.matrix) }
    }

    /// Lends memory of [rows, columns] numbers for one call.
    func withTemporaryIndices<R>(rows: Int, columns: Int, _ body: (IndexMatrix) throws -> R) rethrows -> R {
        let buffer = AlignedBuffer(Int32.self, count: rows * columns)
        return try withExtendedLifetime(buffer) {
            try body(IndexMatrix(buffer.bound(to: Int32.self), rows: rows, columns: columns))
        }
    }
}
