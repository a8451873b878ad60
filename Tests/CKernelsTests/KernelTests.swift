import CKernels
import Foundation
import Synchronization
import Tensors
import Testing

/// Every kernel test. The instruction set that a test chooses is its thread's: those beside it keep the best.
@Suite struct KernelTests {
    /// The instruction sets this machine can run: AMX's twin is one of them nearly everywhere.
    static let instructionSets: [ck_isa] = [CK_SCALAR, CK_NEON, CK_AVX2, CK_AVX512, CK_AMX, CK_AMX_TWIN].filter {
        ck_isa_available($0)
    }

    /// Whether an instruction set multiplies tiles of bf16, or does as if.
    static func hasTiles(_ isa: ck_isa) -> Bool { isa == CK_AMX || isa == CK_AMX_TWIN }

    /// Whether `CK_FAST` makes products of integers with an instruction set.
    static func hasIntegers(_ isa: ck_isa) -> Bool { isa == CK_AVX2 || isa == CK_AVX512 }

    /// Runs `body` with each instruction set in turn, and leaves the best one selected.
    static func withEachInstructionSet(_ body: (ck_isa) throws -> Void) rethrows {
        defer { _ = ck_isa_select(ck_isa_best()) }
        for isa in instructionSets {
            _ = ck_isa_select(isa)
            try body(isa)
        }
    }

    @Suite struct Selection {
        @Test func neverMoreThanTheProcessorHas() {
            defer { _ = ck_isa_select(ck_isa_best()) }
            for isa in KernelTests.instructionSets {
                #expect(ck_isa_select(isa) == isa)
                #expect(ck_isa_current() == isa)
            }
            #expect(ck_isa_select(CK_AVX512).rawValue <= ck_isa_best().rawValue)
            #expect(String(cString: ck_isa_name(CK_AVX2)) == "avx2")
            #expect(String(cString: ck_isa_name(CK_AMX)) == "amx")
        }

        @Test func namesAreThoseOfWhatTheProcessorHas() {
            for isa in KernelTests.instructionSets {
                var named = CK_SCALAR
                #expect(ck_isa_named(ck_isa_name(isa), &named) && named == isa)
            }
            var unchanged = CK_AVX2
            #expect(!ck_isa_named("avx3", &unchanged) && unchanged == CK_AVX2)
            #expect(ck_isa_available(CK_NEON) != ck_isa_available(CK_SCALAR))
        }

        /// Packed activations are laid out for one set: a choice must not reach products under way on other threads.
        @Test func aChoiceIsItsThreadsOwn() {
            defer { _ = ck_isa_select(ck_isa_best()) }
            _ = ck_isa_select(CK_SCALAR)
            let done = DispatchSemaphore(value: 0)
            let other = Mutex(CK_SCALAR)
            Thread.detachNewThread {
                other.withLock { $0 = ck_isa_current() }
                done.signal()
            }
            done.wait()
            #expect(other.withLock { $0 } == ck_isa_best())
        }

        @Test func peaksCountTheirOperations() {
            KernelTests.withEachInstructionSet { isa in
                #expect(ck_peak_operations(CK_PEAK_F32, 10) > 0)
                let dot = ck_peak_operations(CK_PEAK_BF16, 10), integers = ck_peak_operations(CK_PEAK_INT8, 10)
                let wide = isa == CK_AVX512 || isa == CK_AMX
                // Not every processor with AVX-512 has the dot product of bf16.
                #expect(dot == 0 || (wide && integers == 2 * dot))
                #expect((integers > 0) == (isa == CK_AVX2 || wide))
                #expect((ck_peak_operations(CK_PEAK_AMX, 10) > 0) == (isa == CK_AMX))
                #expect((ck_peak_operations(CK_PEAK_INT16, 10) > 0) == (isa == CK_AVX2 || wide))
                let bytes = [UInt8](repeating: 3, count: 257)
                #expect(ck_peak_read(bytes, 257) == 3)
            }
        }
    }
}

extension SeededGenerator {
    /// Values in [-1, 1).
    mutating func floats(_ count: Int) -> [Float] {
        (0..<count).map { _ in Float(Int32(truncatingIfNeeded: next() >> 40) - (1 << 23)) / Float(1 << 23) }
    }
}

/// Memory aligned to 64 bytes, given back at the end of `body`.
func withAligned<R>(_ bytes: Int, _ body: (UnsafeMutableRawPointer) throws -> R) rethrows -> R {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(bytes, 64), alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0xA5, count: max(bytes, 64))
    return try body(memory)
}
