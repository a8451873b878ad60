import CKernels
import Tensors
import Foundation
import Testing

/// The distance of `value` from `exact`, in units in the last place of f32 at `exact`.
private func ulps(_ value: Float, _ exact: Double) -> Double {
    let unit = Double(max(Float(abs(exact)), Float.leastNormalMagnitude).ulp)
    return abs(Double(value) - exact) / unit
}

extension KernelTests {
    @Suite struct Elementwise {
        static let lengths = Array(0...33)

        @Test func exponential() {
            KernelTests.withEachInstructionSet { isa in
                let x = stride(from: Float(-87.3), through: 88.7, by: 0.00173).map { $0 }
                var out = [Float](repeating: 0, count: x.count)
                ck_exp(x, Int64(x.count), &out)
                let worst = zip(x, out).map { ulps($1, exp(Double($0))) }.max()!
                #expect(worst <= 2, "isa \(isa.rawValue)")
                let edges: [Float] = [0, -0.0, 1, -100, -.infinity, 88.8, .infinity, .nan, -87.3365, 1e-30]
                var edge = [Float](repeating: 0, count: edges.count)
                ck_exp(edges, Int64(edges.count), &edge)
                #expect(edge[0] == 1 && edge[1] == 1 && edge[3] == 0 && edge[4] == 0 && edge[9] == 1)
                #expect(edge[5] == .infinity && edge[6] == .infinity && edge[7].isNaN)
                #expect(ulps(edge[2], exp(1)) <= 2)
                var one = [Float](repeating: 0, count: 1)
                ck_exp([0.5], 1, &one)
                #expect(ulps(one[0], exp(0.5)) <= 2)
            }
        }

        @Test func logarithm() {
            KernelTests.withEachInstructionSet { isa in
                var x: [Float] = [
                    Float.leastNonzeroMagnitude, Float(bitPattern: 71362), 1e-38, 0.99999994, 1, 1.0000001, 3e38,
                ]
                var value: Float = 1e-30
                while value < 1e30 {
                    x.append(value)
                    value *= 1.00137
                }
                for step in 0..<4000 { x.append(0.5 + Float(step) * 0.0005) }
                var out = [Float](repeating: 0, count: x.count)
                ck_log(x, Int64(x.count), &out)
                let worst = zip(x, out).map { ulps($1, log(Double($0))) }.max()!
                #expect(worst <= 2, "isa \(isa.rawValue)")
                var edge = [Float](repeating: 0, count: 4)
                ck_log([0, -1, .infinity, .nan], 4, &edge)
                #expect(edge[0] == -.infinity && edge[1].isNaN && edge[2] == .infinity && edge[3].isNaN)
            }
        }

        @Test func rmsnorm() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 11)
                for d in Self.lengths + [320] where d > 0 {
                    let n = 3
                    let stride = d + 1
                    let x = numbers.floats(n * stride)
                    let weight = numbers.floats(d)
                    var out = [Float](repeating: 9, count: n * stride)
                    ck_rmsnorm(x, Int64(stride), weight, 1e-5, Int64(n), Int64(d), &out, Int64(stride))
                    for i in 0..<n {
                        let row = (0..<d).map { Double(x[i * stride + $0]) }
                        let scale = 1 / (row.map { $0 * $0 }.reduce(0, +) / Double(d) + 1e-5).squareRoot()
                        for j in 0..<d {
                            let expected = row[j] * scale * Double(weight[j])
                            #expect(abs(Double(out[i * stride + j]) - expected) <= 4e-7 * max(1, abs(expected)))
                        }
                        #expect(out[i * stride + d] == 9, "isa \(isa.rawValue) writes past d = \(d)")
                    }
                }
            }
        }

        @Test func softmax() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 12)
                for d in Self.lengths where d > 0 {
                    var x = numbers.floats(2 * d).map { $0 * 20 }
                    if d > 1 { x[d / 2] = -.infinity }
                    let top = x[0..<d].max()!
                    let exact = x[0..<d].map { exp(Double($0) - Double(top)) }
                    let sum = exact.reduce(0, +)
                    for j in d..<2 * d { x[j] = -.infinity }
                    ck_softmax_rows(&x, Int64(d), 2, Int64(d))
                    for j in 0..<d { #expect(abs(Double(x[j]) - exact[j] / sum) <= 1e-6, "isa \(isa.rawValue) d \(d)") }
                    #expect(x[d..<2 * d].allSatisfy { $0 == 0 })
                }
            }
        }

        @Test func activationSumsAndProducts() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 13)
                for count in Self.lengths {
                    let a = numbers.floats(count + 1).map { $0 * 8 }
                    let b = numbers.floats(count + 1)
                    for offset in [0, 1] where count > 0 {  // offset 1: misaligned
                        let length = count - offset
                        var out = [Float](repeating: 5, count: count + 1)
                        a.withUnsafeBufferPointer { a in
                            b.withUnsafeBufferPointer { b in
                                let a = a.baseAddress! + offset
                                let b = b.baseAddress! + offset
                                ck_silu_mul(a, b, Int64(length), &out)
                                for j in 0..<length {
                                    let g = Double(a[j])
                                    #expect(abs(Double(out[j]) - g / (1 + exp(-g)) * Double(b[j])) <= 2e-6)
                                }
                                #expect(out[length] == 5, "isa \(isa.rawValue)")
                                ck_add(a, b, Int64(length), &out)
                                for j in 0..<length { #expect(out[j] == a[j] + b[j]) }
                                ck_add_scaled(a, 0.5, Int64(length), &out)
                                for j in 0..<length {
                                    #expect(abs(out[j] - (a[j] * 1.5 + b[j])) <= 2e-6)
                                }
                                #expect(out[length] == 5)
                                let dot = ck_dot(a, b, Int64(length))
                                let exact = (0..<length).map { Double(a[$0]) * Double(b[$0]) }.reduce(0, +)
                                #expect(abs(Double(dot) - exact) <= 1e-5)
                            }
                        }
                    }
                }
            }
        }

        @Test func scatterAdd() {
            KernelTests.withEachInstructionSet { isa in
                let d = 19
                var out = [Float](repeating: 1, count: 4 * d)
                let x = (0..<2 * d).map { Float($0) }
                ck_scatter_add(x, Int64(d), [3, 1], [0.5, 2], 2, Int64(d), &out, Int64(d))
                for j in 0..<d {
                    #expect(out[j] == 1 && out[2 * d + j] == 1)
                    #expect(out[3 * d + j] == 1 + 0.5 * Float(j))
                    #expect(out[d + j] == 1 + 2 * Float(d + j), "isa \(isa.rawValue)")
                }
            }
        }

        @Test func logSumExpOverTiles() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 14)
                let n = 3
                let count = 1000
                let logits = numbers.floats(n * count).map { $0 * 30 }
                var top = [Float](repeating: -.infinity, count: n)
                var sum = [Float](repeating: 0, count: n)
                logits.withUnsafeBufferPointer { logits in
                    for begin in stride(from: 0, to: count, by: 133) {
                        ck_logsumexp_tile(
                            logits.baseAddress! + begin, Int64(count), Int64(n), Int64(min(133, count - begin)), &top,
                            &sum)
                    }
                }
                for i in 0..<n {
                    let row = logits[i * count..<(i + 1) * count].map(Double.init)
                    let exact = log(row.map { exp($0) }.reduce(0, +))
                    #expect(abs(Double(top[i]) + log(Double(sum[i])) - exact) <= 1e-5, "isa \(isa.rawValue)")
                }
            }
        }

        @Test func rotaryEmbedding() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 15)
                let (n, heads, headDim, rotary) = (3, 2, 10, 8)
                let x = numbers.floats(n * heads * headDim)
                let angles = numbers.floats(n * rotary / 2).map { $0 * 3 }
                let c = angles.map { cos($0) }
                let s = angles.map { sin($0) }
                for layout in [CK_ROPE_HALVES, CK_ROPE_PAIRS] {
                    var out = x
                    ck_rope(
                        &out, Int64(heads * headDim), c, s, Int64(n), Int64(heads), Int64(headDim), Int64(rotary),
                        layout)
                    for i in 0..<n {
                        for h in 0..<heads {
                            let base = (i * heads + h) * headDim
                            for j in 0..<rotary / 2 {
                                let first = base + (layout == CK_ROPE_HALVES ? j : 2 * j)
                                let second = base + (layout == CK_ROPE_HALVES ? j + rotary / 2 : 2 * j + 1)
                                let (co, si) = (c[i * rotary / 2 + j], s[i * rotary / 2 + j])
                                #expect(abs(out[first] - (x[first] * co - x[second] * si)) <= 3e-7)
                                #expect(abs(out[second] - (x[second] * co + x[first] * si)) <= 3e-7)
                            }
                            for j in rotary..<headDim { #expect(out[base + j] == x[base + j], "isa \(isa.rawValue)") }
                        }
                    }
                }
            }
        }
    }
}
