import CKernels
import Tensors
import Foundation
import Testing

extension KernelTests {
    @Suite struct FastMatmul {
        /// What bf16 makes of a value: rounded to nearest, ties to even.
        static func bf16(_ value: Float) -> Float {
            let bits = value.bitPattern
            return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
        }

        /// What int8 blocks of 32 make of rows of activations.
        static func int8Blocks(_ x: [Float]) -> [Float] {
            stride(from: 0, to: x.count, by: 32).flatMap { begin in
                let block = x[begin..<begin + 32]
                let top = block.map(abs).max()!
                let inverse = top > 0 ? 127 / top : 0
                return block.map { ($0 * inverse).rounded(.toNearestOrEven) * (top / 127) }
            }
        }

        /// The largest difference, and how large a sum of k products of these inputs is.
        static func compare(_ y: [Float], weights: [Float], x: [Float], n: Int, m: Int, k: Int) -> (Double, Double) {
            let exact = referenceMatmul(weights: weights, x: x, n: n, m: m, k: k)
            let worst = zip(y, exact).map { abs(Double($0) - $1) }.max() ?? 0
            let size = (x.map { Double($0 * $0) }.reduce(0, +) / Double(max(1, n))).squareRoot()
            let weight = (weights.map { Double($0) * Double($0) }.max() ?? 0).squareRoot()
            return (worst, size * weight)
        }

        /// Rows and inputs of every remainder, few rows and many, one block of 256 inputs and several.
        static let denseShapes =
            (0...66).map { (5, 7, $0) } + (1...9).map { ($0, 13, 70) } + (1...14).map { (6, $0, 40) }
            + [(9, 61, 2048), (5, 7, 2049), (33, 121, 96), (3, 7, 4100)]

        /// Weights of a dense type as they are stored, and as f32.
        static func stored(_ weights: [Float], _ type: ck_type) -> (bytes: [UInt8], wide: [Float]) {
            guard type != CK_F32 else { return (weights.withUnsafeBytes(Array.init), weights) }
            let bits = halfBits(weights, type)
            var wide = weights
            ck_dequantize(type, bits, Int64(weights.count), &wide)
            return (bits.withUnsafeBytes(Array.init), wide)
        }

        @Test func denseTypes() {
            KernelTests.withEachInstructionSet { isa in
                if KernelTests.hasIntegers(isa) { return }
                let rounds = KernelTests.hasTiles(isa)
                var numbers = SeededGenerator(state: 31)
                for type in [CK_F32, CK_F16, CK_BF16] {
                    for (n, m, k) in Self.denseShapes {
                        let x = numbers.floats(n * k)
                        let (bytes, wide) = Self.stored(numbers.floats(m * k), type)
                        let y = matmul(
                            type, CK_FAST, weights: bytes, rowBytes: bytes.count / m, x: x, xStride: k, n: n, m: m, k: k
                        )
                        let (worst, size) = Self.compare(
                            y, weights: rounds ? wide.map(Self.bf16) : wide, x: rounds ? x.map(Self.bf16) : x, n: n,
                            m: m, k: k)
                        #expect(
                            worst <= 2e-6 * size + 1e-12, "isa \(isa.rawValue) type \(type.rawValue) \(n) \(m) \(k)")
                    }
                }
            }
        }

        /// By how much a product of 16-bit blocks may miss the true one: half a step of every activation and weight, and
        /// what f32 rounds.
        static func int16Bound(_ x: ArraySlice<Float>, _ w: ArraySlice<Float>) -> Double {
            var bound = 0.0
            for at in stride(from: 0, to: x.count, by: 256) {
                let x = x.dropFirst(at).prefix(256).map { Double(abs($0)) }
                let w = w.dropFirst(at).prefix(256).map { Double(abs($0)) }
                let (xSum, wSum) = (x.reduce(0, +), w.reduce(0, +))
                let xStep = max(x.max()! / 32767, xSum / 262_000), wStep = w.max()! / 4096
                bound += (xStep * wSum + wStep * xSum) / 2 + xStep * wStep * 64
                bound += 4e-7 * zip(x, w).map { $0 * $1 }.reduce(0, +)
            }
            return bound
        }

        /// AVX2 and AVX-512 have the bits of the reference product, and that is as close as its steps are fine: ordinary numbers,
        /// few large ones among small, rows of zeros.
        @Test func equalsTheReferenceProductOf16Bits() {
            var numbers = SeededGenerator(state: 35)
            for type in [CK_F32, CK_F16, CK_BF16] {
                for (n, m, k) in Self.denseShapes + [(7, 113, 257), (259, 97, 300), (4, 9, 512), (2, 8, 271)]
                where k > 0 {
                    var x = numbers.floats(n * k), weights = numbers.floats(m * k)
                    for i in stride(from: 3, to: n * k, by: 97) { x[i] *= 1000 }
                    for i in stride(from: 5, to: m * k, by: 211) { weights[i] *= 50 }
                    for i in 0..<k where n > 1 { x[k + i] = 0 }
                    for i in 0..<k where m > 2 { weights[2 * k + i] = 0 }
                    let (bytes, wide) = Self.stored(weights, type)
                    var reference = [Float](repeating: .nan, count: n * m)
                    ck_matmul_int16_reference(
                        type, bytes, bytes.count / m, Int64(m), Int64(k), x, Int64(k), Int64(n), &reference, Int64(m))
                    let exact = referenceMatmul(weights: wide, x: x, n: n, m: m, k: k)
                    for i in 0..<n {
                        for j in 0..<m {
                            let bound = Self.int16Bound(x[i * k..<(i + 1) * k], wide[j * k..<(j + 1) * k])
                            #expect(abs(Double(reference[i * m + j]) - exact[i * m + j]) <= bound)
                        }
                    }
                    KernelTests.withEachInstructionSet { isa in
                        guard KernelTests.hasIntegers(isa) else { return }
                        let y = matmul(
                            type, CK_FAST, weights: bytes, rowBytes: bytes.count / m, x: x, xStride: k, n: n, m: m, k: k
                        )
                        #expect(
                            y.map(\.bitPattern) == reference.map(\.bitPattern), "type \(type.rawValue) \(n) \(m) \(k)")
                    }
                }
            }
        }

        /// All activations and weights as large as they get and of one sign: no sum overflows.
        @Test func sumsOf16BitsFit() {
            KernelTests.withEachInstructionSet { isa in
                for k in [1, 256, 4096] {
                    for (x, w) in [(1, 0.99999), (-3e8, 1), (1e-30, -1.9999)] as [(Float, Float)] {
                        let y = matmul(
                            CK_F32, CK_FAST, weights: [Float](repeating: w, count: 5 * k), rowBytes: 4 * k,
                            x: [Float](repeating: x, count: 5 * k), xStride: k, n: 5, m: 5, k: k)
                        let expected = Double(x) * Double(w) * Double(k)
                        #expect(
                            y.allSatisfy { abs(Double($0) - expected) <= 5e-3 * abs(expected) }, "\(isa.rawValue) \(k)")
                    }
                }
            }
        }

        /// What is not finite does not become a number.
        @Test func whatIsNotFiniteStaysSo() {
            KernelTests.withEachInstructionSet { isa in
                for (n, bad) in [(1, Float.infinity), (2, .nan), (7, -.infinity), (9, .nan)] {
                    for inWeights in [true, false] {
                        let k = 300
                        var x = [Float](repeating: 1, count: n * k), w = [Float](repeating: 1, count: 3 * k)
                        if inWeights { w[k + 290] = bad } else { x[(n - 1) * k + 290] = bad }
                        let y = matmul(CK_F32, CK_FAST, weights: w, rowBytes: 4 * k, x: x, xStride: k, n: n, m: 3, k: k)
                        for i in 0..<n {
                            for j in 0..<3 {
                                let touched = inWeights ? j == 1 : i == n - 1
                                #expect(y[3 * i + j].isFinite != touched, "isa \(isa.rawValue) n \(n) \(bad)")
                            }
                        }
                    }
                }
            }
        }

        /// A weight matrix [m, k] of blocks from the fixture, without its extreme scales.
        static func quantizedWeights(_ name: String, m: Int, k: Int, seed: UInt64) throws -> [UInt8] {
            let (data, bits) = try Dequantize.fixture(name)
            let elements = bits.count <= 1152 ? 32 : 256
            let blocks = bits.count / elements, size = data.count / blocks
            var numbers = SeededGenerator(state: seed)
            return (0..<m * k / elements).flatMap { _ in
                let block = 9 + Int(numbers.next() % UInt64(blocks - 9))
                return data[block * size..<(block + 1) * size]
            }
        }

        @Test(arguments: Dequantize.types) func quantizedTypes(_ name: String, _ type: ck_type) throws {
            let elements = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"].contains(name) ? 256 : 32
            var shapes = [(1, 1, 256), (5, 50, 256), (9, 33, 256), (2, 5, 4096 + 256)]
            if elements == 32 { shapes += (1...8).map { ($0, 19, 32 * $0) } }
            for m in [1, 15, 16, 17, 31, 47, 48, 49] { shapes.append((2, m, 256)) }
            try KernelTests.withEachInstructionSet { isa in
                let tiles = KernelTests.hasTiles(isa), rounds = KernelTests.hasIntegers(isa)
                var numbers = SeededGenerator(state: 32)
                for (n, m, k) in shapes {
                    let weights = try Self.quantizedWeights(name, m: m, k: k, seed: UInt64(m + k))
                    var wide = [Float](repeating: 0, count: m * k)
                    ck_dequantize(type, weights, Int64(m * k), &wide)
                    let x = numbers.floats(n * k), rowBytes = weights.count / m
                    let y = matmul(
                        type, CK_FAST, weights: weights, rowBytes: rowBytes, x: x, xStride: k, n: n, m: m, k: k)
                    let (worst, size) = Self.compare(
                        y, weights: tiles ? wide.map(Self.bf16) : wide,
                        x: tiles ? x.map(Self.bf16) : rounds ? Self.int8Blocks(x) : x, n: n, m: m, k: k)
                    #expect(worst <= 2e-6 * size + 1e-12, "isa \(isa.rawValue) \(name) n \(n) m \(m) k \(k)")
                    let exact = matmul(
                        type, CK_EXACT, weights: weights, rowBytes: rowBytes, x: x, xStride: k, n: n, m: m, k: k)
                    let (difference, exactSize) = Self.compare(exact, weights: wide, x: x, n: n, m: m, k: k)
                    #expect(difference <= 2e-6 * exactSize + 1e-12, "exact, isa \(isa.rawValue) \(name) \(n) \(m) \(k)")
                }
            }
        }

        /// Where f16 scales are in a block: whatever else it holds is a weight matrix.
        static let halves: [String: (bytes: Int, at: [Int])] = [
            "Q4_0": (18, [0]), "Q4_1": (20, [0, 2]), "Q5_0": (22, [0]), "Q5_1": (24, [0, 2]), "Q8_0": (34, [0]),
            "Q2_K": (84, [80, 82]), "Q3_K": (110, [108]), "Q4_K": (144, [0, 2]), "Q5_K": (176, [0, 2]),
            "Q6_K": (210, [208]), "IQ4_NL": (18, [0]), "IQ4_XS": (136, [0]), "MXFP4": (17, []),
        ]

        /// Every instruction set that has an int8 product gives the bits of the reference: any block of any type, levels
        /// and activations at both ends of their range, few rows and many, whole and cut superblocks.
        @Test(arguments: Dequantize.types) func equalsTheReferenceProduct(_ name: String, _ type: ck_type) throws {
            let elements = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"].contains(name) ? 256 : 32
            let (blockBytes, places) = try #require(Self.halves[name])
            var shapes = (1...9).map { ($0, 21, 512) } + [(1, 1, 256), (4, 7, 256), (66, 16, 256), (5, 113, 768)]
            if elements == 32 {
                shapes += (1...9).map { ($0 % 3 + 1, 17, 32 * $0) } + (1...9).map { (1, 9, 256 + 32 * $0) }
                shapes += [(6, 33, 1056), (1, 24, 2880), (4, 11, 2880)]
            }
            var numbers = SeededGenerator(state: 34)
            for (n, m, k) in shapes {
                let rowBytes = k / elements * blockBytes
                for extreme in [nil, 0x00, 0x80, 0xFF] as [UInt8?] where extreme == nil || (n < 6 && k == 512) {
                    var weights = (0..<m * rowBytes).map { _ in extreme ?? UInt8(truncatingIfNeeded: numbers.next()) }
                    for block in stride(from: 0, to: weights.count, by: blockBytes) {
                        for place in places { weights[block + place + 1] = weights[block + place + 1] & 0x83 | 0x20 }
                        if name == "MXFP4" { weights[block] = weights[block] & 7 | 120 }
                    }
                    var x = numbers.floats(n * k)
                    if extreme != nil { for i in x.indices where i % 64 < 48 { x[i] = i % 64 < 32 ? 1 : -1 } }
                    for i in 0..<min(n, k / 32) { for j in 0..<32 { x[i * k + 32 * i + j] = 0 } }
                    var reference = [Float](repeating: .nan, count: n * m)
                    ck_matmul_int8_reference(
                        type, weights, rowBytes, Int64(m), Int64(k), x, Int64(k), Int64(n), &reference, Int64(m))
                    let size = reference.map(abs).max() ?? 0
                    #expect(size.isFinite && (size > 0 || extreme != nil))
                    KernelTests.withEachInstructionSet { isa in
                        guard KernelTests.hasIntegers(isa) else { return }
                        let y = matmul(
                            type, CK_FAST, weights: weights, rowBytes: rowBytes, x: x, xStride: k, n: n, m: m, k: k)
                        #expect(
                            y.map(\.bitPattern) == reference.map(\.bitPattern),
                            "isa \(isa.rawValue) \(name) n \(n) m \(m) k \(k) bytes \(String(describing: extreme))")
                    }
                }
            }
        }

        /// No bit depends on how many rows there are, where a row stands, or how m is split.
        @Test(arguments: Dequantize.types) func rowsAreIndependent(
            _ name: String, _ type: ck_type
        ) throws {
            try KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 33)
                let (n, m, k) = (6, 21, 4608)
                let x = numbers.floats(n * k)
                let weights = try Self.quantizedWeights(name, m: m, k: k, seed: 5)
                for mode in [CK_EXACT, CK_FAST, CK_FINE, CK_PRECISE] {
                    let run = { (rows: [Int32]?, n: Int, splits: [Int]) in
                        matmul(
                            type, mode, weights: weights, rowBytes: weights.count / m, x: x, xStride: k, rows: rows,
                            n: n,
                            m: m, k: k, splits: splits)
                    }
                    let whole = run(nil, n, [])
                    #expect(run(nil, n, [3, 20]) == whole, "isa \(isa.rawValue)")
                    for rows in [[4], [5, 0], [1, 3, 2]] as [[Int32]] {
                        let some = run(rows, rows.count, [])
                        for (i, row) in rows.enumerated() {
                            #expect(some[i * m..<(i + 1) * m] == whole[Int(row) * m..<(Int(row) + 1) * m])
                        }
                    }
                }
            }
        }
    }
}
