import CKernels
import Tensors
import Testing

/// One matrix product through the public functions: x is [n, k], weights are [m, k] of `type`.
func matmul(
    _ type: ck_type, _ mode: ck_mode, weights: UnsafeRawPointer, rowBytes: Int, x: UnsafePointer<Float>, xStride: Int,
    rows: [Int32]? = nil, n: Int, m: Int, k: Int, splits: [Int] = []
) -> [Float] {
    var y = [Float](repeating: .nan, count: n * m)
    withAligned(ck_activation_bytes(type, mode, Int64(n), Int64(k))) { packed in
        withAligned(ck_matmul_scratch_bytes(type, mode, Int64(n), Int64(k))) { scratch in
            var begin = 0
            while begin < n {  // packed in two calls where it can be
                let end = begin == 0 && n > 16 ? 16 : n
                ck_pack_activations(
                    type, mode, x, Int64(xStride), rows, Int64(n), Int64(k), Int64(begin), Int64(end), packed)
                begin = end
            }
            let bounds = [0] + splits.filter { $0 < m } + [m]
            for (from, to) in zip(bounds, bounds.dropFirst()) {
                ck_matmul(
                    type, mode, weights, rowBytes, Int64(from), Int64(to), Int64(k), packed, Int64(n), &y, Int64(m),
                    scratch)
            }
        }
    }
    return y
}

/// The same product in double precision.
func referenceMatmul(weights: [Float], x: [Float], n: Int, m: Int, k: Int) -> [Double] {
    var y = [Double](repeating: 0, count: n * m)
    weights.withUnsafeBufferPointer { w in
        x.withUnsafeBufferPointer { x in
            for i in 0..<n {
                for j in 0..<m {
                    var sum = 0.0
                    for l in 0..<k { sum += Double(x[i * k + l]) * Double(w[j * k + l]) }
                    y[i * m + j] = sum
                }
            }
        }
    }
    return y
}

func halfBits(_ values: [Float], _ type: ck_type) -> [UInt16] {
    values.map { value in
        if type == CK_BF16 { return UInt16(truncatingIfNeeded: value.bitPattern >> 16) }
        // Quarters in [-1, 1] and the like are exact halves; others lose bits here, on purpose.
        let scaled = (value * 1024).rounded(.towardZero) / 1024
        if scaled == 0 { return 0 }
        let sign: UInt16 = scaled < 0 ? 0x8000 : 0
        let exponent = scaled.exponent
        let mantissa = UInt16(scaled.significandBitPattern >> 13)
        return sign | UInt16(exponent + 15) << 10 | mantissa
    }
}

extension KernelTests {
    @Suite struct ExactMatmul {
        static let shapes: [(n: Int, m: Int, k: Int)] = {
            var shapes: [(Int, Int, Int)] = []
            for k in Array(0...33) + [63, 64, 65] { shapes.append((5, 7, k)) }
            for n in 1...10 { shapes.append((n, 13, 40)) }
            for m in 1...14 { shapes.append((6, m, 24)) }
            shapes += [(9, 61, 1024), (5, 7, 1025), (17, 65, 2100), (3, 7, 2100), (33, 121, 48)]
            return shapes
        }()

        @Test func matchesDoublePrecision() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 7)
                for (n, m, k) in Self.shapes {
                    let x = numbers.floats(n * k)
                    let w = numbers.floats(m * k)
                    let y = matmul(
                        CK_F32, CK_EXACT, weights: w, rowBytes: 4 * k, x: x, xStride: k, n: n, m: m, k: k)
                    let expected = referenceMatmul(weights: w, x: x, n: n, m: m, k: k)
                    let tolerance = 1e-6 * Double(k).squareRoot() + 1e-12
                    let worst = zip(y, expected).map { abs(Double($0) - $1) }.max() ?? 0
                    #expect(worst <= tolerance, "isa \(isa.rawValue) n \(n) m \(m) k \(k)")
                }
            }
        }

        @Test func halvesAndMisalignedRows() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 8)
                for type in [CK_F16, CK_BF16] {
                    for (n, m, k) in [(1, 9, 37), (3, 6, 64), (7, 13, 1040), (6, 8, 15)] {
                        let x = numbers.floats(n * k)
                        let bits = halfBits(numbers.floats(m * k), type)
                        var wide = [Float](repeating: 0, count: m * k)
                        ck_dequantize(type, bits, Int64(m * k), &wide)
                        // One byte off any alignment.
                        withAligned(2 * m * k + 1) { memory in
                            bits.withUnsafeBytes { (memory + 1).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
                            let y = matmul(
                                type, CK_EXACT, weights: memory + 1, rowBytes: 2 * k, x: x, xStride: k, n: n, m: m,
                                k: k)
                            let same = matmul(
                                CK_F32, CK_EXACT, weights: wide, rowBytes: 4 * k, x: x, xStride: k, n: n, m: m, k: k)
                            #expect(y == same, "isa \(isa.rawValue) type \(type.rawValue) n \(n) m \(m) k \(k)")
                        }
                    }
                }
            }
        }

        /// No bit depends on how many rows there are, where a row stands, how m is split, or on gathering.
        @Test(arguments: [CK_F32, CK_F16, CK_BF16], [CK_EXACT, CK_FAST, CK_FINE, CK_PRECISE])
        func rowsAreIndependent(_ type: ck_type, _ mode: ck_mode) {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 9)
                let (n, m, k) = (23, 77, 1500)
                let x = numbers.floats(n * k), w = numbers.floats(m * k)
                let weights =
                    type == CK_F32
                    ? w.withUnsafeBytes(Array.init) : halfBits(w, type).withUnsafeBytes(Array.init)
                let run = { (rows: [Int32]?, n: Int, splits: [Int]) in
                    matmul(
                        type, mode, weights: weights, rowBytes: weights.count / m, x: x, xStride: k, rows: rows, n: n,
                        m: m, k: k, splits: splits)
                }
                let whole = run(nil, n, [])
                #expect(run(nil, n, [5, 41, 60]) == whole, "isa \(isa.rawValue)")
                for count in [1, 2, 3, 4, 7] {
                    let rows = (0..<count).map { Int32(($0 * 5 + 3) % n) }
                    let some = run(rows, count, [])
                    for (i, row) in rows.enumerated() {
                        let expected = whole[Int(row) * m..<(Int(row) + 1) * m]
                        #expect(Array(some[i * m..<(i + 1) * m]) == Array(expected), "isa \(isa.rawValue) n \(count)")
                    }
                }
            }
        }

        /// With a fused multiply-add, instruction sets agree in every bit.
        @Test func wideInstructionSetsAgree() {
            let fused = KernelTests.instructionSets.filter { $0 != CK_SCALAR }
            guard let first = fused.first else { return }
            defer { _ = ck_isa_select(ck_isa_best()) }
            var numbers = SeededGenerator(state: 10)
            let (n, m, k) = (11, 31, 1100)
            let x = numbers.floats(n * k)
            let w = numbers.floats(m * k)
            _ = ck_isa_select(first)
            let expected = matmul(CK_F32, CK_EXACT, weights: w, rowBytes: 4 * k, x: x, xStride: k, n: n, m: m, k: k)
            for isa in fused {
                _ = ck_isa_select(isa)
                let y = matmul(CK_F32, CK_EXACT, weights: w, rowBytes: 4 * k, x: x, xStride: k, n: n, m: m, k: k)
                #expect(y == expected, "isa \(isa.rawValue)")
            }
        }
    }
}
