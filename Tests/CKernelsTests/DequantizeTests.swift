import CKernels
import Foundation
import TestSupport
import Testing

extension KernelTests {
    @Suite struct Dequantize {
        static let types: [(name: String, type: ck_type)] = [
            ("Q4_0", CK_Q4_0), ("Q4_1", CK_Q4_1), ("Q5_0", CK_Q5_0), ("Q5_1", CK_Q5_1), ("Q8_0", CK_Q8_0),
            ("Q2_K", CK_Q2_K), ("Q3_K", CK_Q3_K), ("Q4_K", CK_Q4_K), ("Q5_K", CK_Q5_K), ("Q6_K", CK_Q6_K),
            ("IQ4_NL", CK_IQ4_NL), ("IQ4_XS", CK_IQ4_XS), ("MXFP4", CK_MXFP4),
        ]

        static func fixture(_ name: String) throws -> (blocks: Data, bits: [UInt32]) {
            let folder = Fixtures.folder.appending(path: "dequantize")
            let values = try Data(contentsOf: folder.appending(path: "\(name).f32"))
            let bits = values.withUnsafeBytes { bytes in
                (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
            }
            return (try Data(contentsOf: folder.appending(path: "\(name).blocks")), bits)
        }

        /// Bit by bit what PyPI's `gguf` makes of the same blocks, at an odd address.
        @Test(arguments: types) func bitIdenticalToTheReference(_ name: String, _ type: ck_type) throws {
            let (blocks, expected) = try Self.fixture(name)
            withAligned(blocks.count + 1) { memory in
                blocks.withUnsafeBytes { (memory + 1).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
                KernelTests.withEachInstructionSet { isa in
                    var out = [Float](repeating: .nan, count: expected.count + 1)
                    out[expected.count] = 7
                    ck_dequantize(type, memory + 1, Int64(expected.count), &out)
                    #expect(out.dropLast().map(\.bitPattern) == expected, "\(name) isa \(isa.rawValue)")
                    #expect(out[expected.count] == 7)
                }
            }
        }

        /// All 65,536 halves, against Foundation-free arithmetic in double precision.
        @Test func halves() {
            let bits = (0...UInt16.max).map { $0 }
            KernelTests.withEachInstructionSet { isa in
                var out = [Float](repeating: 0, count: bits.count)
                ck_dequantize(CK_F16, bits, Int64(bits.count), &out)
                var wrong = 0
                for half in bits {
                    let exponent = Int(half >> 10 & 31), mantissa = Double(half & 1023)
                    let magnitude =
                        exponent == 0
                        ? scalbn(mantissa, -24)
                        : exponent == 31 ? (mantissa == 0 ? .infinity : .nan) : scalbn(1024 + mantissa, exponent - 25)
                    let value = Float(half & 0x8000 == 0 ? magnitude : -magnitude), given = out[Int(half)]
                    if given.isNaN ? !value.isNaN : given.bitPattern != value.bitPattern { wrong += 1 }
                }
                #expect(wrong == 0, "isa \(isa.rawValue)")
                ck_dequantize(CK_BF16, bits, Int64(bits.count), &out)
                #expect(zip(bits, out).allSatisfy { $1.bitPattern == UInt32($0) << 16 }, "isa \(isa.rawValue)")
            }
        }

        /// Q8_0 as `gguf` makes it, and halves that come back as they went.
        @Test func store() throws {
            let folder = Fixtures.folder.appending(path: "dequantize")
            let values = try Data(contentsOf: folder.appending(path: "store.f32")).withUnsafeBytes { bytes in
                (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
            }
            let expected = [UInt8](try Data(contentsOf: folder.appending(path: "store.Q8_0")))
            let halves = (0...UInt16.max).filter { $0 >> 10 & 31 != 31 }
            KernelTests.withEachInstructionSet { isa in
                var blocks = [UInt8](repeating: 0, count: expected.count)
                ck_store(CK_Q8_0, values, Int64(values.count), &blocks)
                #expect(blocks == expected, "isa \(isa.rawValue)")
                for type in [CK_F16, CK_BF16] {
                    var wide = [Float](repeating: 0, count: halves.count)
                    ck_dequantize(type, halves, Int64(halves.count), &wide)
                    var back = [UInt16](repeating: 1, count: halves.count)
                    ck_store(type, wide, Int64(wide.count), &back)
                    #expect(back == halves, "isa \(isa.rawValue) type \(type.rawValue)")
                }
                // Ties go to even, and what is too large becomes infinite.
                var rounded = [UInt16](repeating: 0, count: 5)
                ck_store(CK_F16, [1 + 0x1p-11, 1 + 0x3p-11, 65_519, 65_520, 0x1p-25], 5, &rounded)
                #expect(rounded == [0x3C00, 0x3C02, 0x7BFF, 0x7C00, 0], "isa \(isa.rawValue)")
            }
        }
    }
}
