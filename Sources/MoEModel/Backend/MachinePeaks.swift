import CKernels
import Foundation
import Tensors

/// What this machine can do at most, all threads together, measured now.
public struct MachinePeaks: Sendable, Codable {
    /// Bytes read from memory per second.
    public let memoryRead: Double
    /// f32 multiply-adds, two operations each, per second.
    public let f32: Double
    /// bf16 dot-product operations per second; 0 where the processor has none.
    public let bf16: Double
    /// Operations of products of bf16 tiles (AMX) per second; 0 where the processor has none.
    public let amx: Double
    /// Operations on 16-bit integers per second; 0 where the processor has neither AVX2 nor AVX-512.
    public let int16: Double
    /// int8 operations per second: dot products, or on AVX2 products of bytes added in 16 bits, as four-bit weights allow;
    /// 0 where the processor has neither.
    public let int8: Double

    /// Takes about a second: the best of several short runs each.
    public static func measure(threads: Int) -> MachinePeaks {
        let pool = ThreadPool(threadCount: threads)
        return MachinePeaks(
            memoryRead: readSpeed(pool), f32: operations(CK_PEAK_F32, pool), bf16: operations(CK_PEAK_BF16, pool),
            amx: operations(CK_PEAK_AMX, pool), int16: operations(CK_PEAK_INT16, pool),
            int8: operations(CK_PEAK_INT8, pool))
    }

    /// The most that products with weights of a type can do, in operations per second.
    public func arithmetic(_ dtype: DType, _ precision: Precision) -> Double {
        switch ck_peak_of(Backend.type(dtype), Backend.mode(precision)) {
        case CK_PEAK_BF16: bf16
        case CK_PEAK_AMX: amx
        case CK_PEAK_INT16: int16
        case CK_PEAK_INT8: int8
        default: f32
        }
    }

    private static func seconds(_ body: () -> Void) -> Double {
        let duration = ContinuousClock().measure(body)
        return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    private static func operations(_ kind: ck_peak, _ pool: ThreadPool) -> Double {
        let rounds: Int64 = 2_000_000
        let perThread = ck_peak_operations(kind, 1000) / 1000
        guard perThread > 0 else { return 0 }
        return (0..<4).map { _ in
            let time = seconds { pool.run(pool.threadCount) { _, _ in _ = ck_peak_operations(kind, rounds) } }
            return Double(perThread * rounds) * Double(pool.threadCount) / time
        }.max() ?? 0
    }

    private static func readSpeed(_ pool: ThreadPool) -> Double {
        let size = 256 << 20
        let buffer = AlignedBuffer(byteCount: size * pool.threadCount)
        buffer.memory.initializeMemory(as: UInt8.self, repeating: 1, count: buffer.byteCount)
        let base = UInt(bitPattern: buffer.memory)
        return (0..<4).map { _ in
            let time = seconds {
                pool.run(pool.threadCount) { task, _ in
                    _ = ck_peak_read(UnsafeRawPointer(bitPattern: base + UInt(task * size)), size)
                }
            }
            return Double(buffer.byteCount) / time
        }.max() ?? 0
    }
}
