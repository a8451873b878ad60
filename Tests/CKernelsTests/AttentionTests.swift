import CKernels
import Tensors
import Foundation
import Testing

extension KernelTests {
    @Suite struct Attention {
        struct Case {
            var t = 20
            var heads = 2
            var groups = 1
            var headDim = 16
            var window = 0
            var position = 0
            var tilesFrom = 0
            var hasSinks = false
        }

        static let cases: [Case] = [
            Case(t: 1), Case(t: 2, headDim: 3), Case(t: 70, heads: 4, groups: 2, headDim: 24),
            Case(t: 66, heads: 6, groups: 2, headDim: 17, window: 9), Case(t: 130, heads: 3, groups: 3, headDim: 32),
            Case(t: 140, heads: 5, groups: 1, headDim: 8, window: 67),
            Case(t: 9, heads: 4, groups: 2, headDim: 16, position: 61),
        ]

        /// Spans, groups of rows and features that tiles do not fill; windows; rows on both sides of the threshold; one row.
        static let tiledCases: [Case] = [
            Case(t: 2, headDim: 3, tilesFrom: 1), Case(t: 70, heads: 4, groups: 2, headDim: 24, tilesFrom: 1),
            Case(t: 66, heads: 6, groups: 2, headDim: 17, window: 9, tilesFrom: 5),
            Case(t: 270, heads: 3, groups: 3, headDim: 32, tilesFrom: 100),
            Case(t: 140, heads: 5, groups: 1, headDim: 8, window: 67, tilesFrom: 60, hasSinks: true),
            Case(t: 300, heads: 2, groups: 2, headDim: 40, window: 131, tilesFrom: 1),
            Case(t: 9, heads: 4, groups: 2, headDim: 64, position: 251, tilesFrom: 1, hasSinks: true),
            Case(t: 1, heads: 40, groups: 1, headDim: 80, position: 130, tilesFrom: 131),
        ]

        /// Inputs, and everything `ck_attention_rows` and its relatives give for them.
        struct Run {
            var out: [Float]
            var statistics: [Float]
            var sinkMass: [Float]
            var fromPattern: [Float]
            var pattern: [Float]  // [heads, t, keys]
        }

        /// A logit per head, below and above the scores.
        static func sinks(_ c: Case) -> [Float] { (0..<c.heads).map { Float($0) - 1.5 } }

        static func run(_ c: Case, q: [Float], k: [Float], v: [Float], rowsPerCall: Int) -> Run {
            let keys = c.position + c.t
            var result = Run(
                out: [Float](repeating: .nan, count: q.count),
                statistics: [Float](repeating: .nan, count: 5 * c.heads * c.t),
                sinkMass: [Float](repeating: .nan, count: c.heads * c.t),
                fromPattern: [Float](repeating: .nan, count: q.count),
                pattern: [Float](repeating: .nan, count: c.heads * c.t * keys))
            q.withUnsafeBufferPointer { q in
                k.withUnsafeBufferPointer { k in
                    v.withUnsafeBufferPointer { v in
                        var a = ck_attention()
                        (a.q, a.k, a.v) = (q.baseAddress, k.baseAddress, v.baseAddress)
                        a.q_stride = Int64(c.heads * c.headDim)
                        a.out_stride = a.q_stride
                        a.k_stride = Int64(c.groups * c.headDim)
                        a.v_stride = a.k_stride
                        (a.heads, a.groups, a.head_dim) = (Int64(c.heads), Int64(c.groups), Int64(c.headDim))
                        (a.position, a.window) = (Int64(c.position), Int64(c.window))
                        a.scale = 1 / Float(c.headDim).squareRoot()
                        a.tiles_from = Int64(c.tilesFrom)
                        a.statistics_stride = Int64(c.heads * c.t)
                        a.statistics_head_stride = Int64(c.t)
                        withAligned(ck_attention_scratch_bytes(&a)) { scratch in
                            result.out.withUnsafeMutableBufferPointer { out in
                                result.statistics.withUnsafeMutableBufferPointer { statistics in
                                    a.out = out.baseAddress
                                    a.statistics = statistics.baseAddress
                                    result.sinkMass.withUnsafeMutableBufferPointer { mass in
                                        sinks(c).withUnsafeBufferPointer { sinks in
                                            a.sinks = c.hasSinks ? sinks.baseAddress : nil
                                            a.sink_mass = mass.baseAddress
                                            a.sink_mass_stride = Int64(c.t)
                                            for group in 0..<c.groups {
                                                for begin in stride(from: 0, to: c.t, by: rowsPerCall) {
                                                    ck_attention_rows(
                                                        &a, Int64(group), Int64(begin),
                                                        Int64(min(c.t, begin + rowsPerCall)), scratch)
                                                }
                                            }
                                        }
                                    }
                                }
                            }
                            result.fromPattern.withUnsafeMutableBufferPointer { out in
                                a.out = out.baseAddress
                                result.pattern.withUnsafeMutableBufferPointer { pattern in
                                    for head in 0..<c.heads {
                                        let rows = pattern.baseAddress! + head * c.t * keys
                                        ck_attention_scores(
                                            &a, Int64(head), 0, Int64(c.t), Int64(keys), rows, Int64(keys), scratch)
                                        ck_softmax_rows(rows, Int64(keys), Int64(c.t), Int64(keys))
                                        ck_attention_apply(
                                            &a, Int64(head), 0, Int64(c.t), Int64(keys), rows, Int64(keys), scratch)
                                    }
                                }
                            }
                        }
                    }
                }
            }
            return result
        }

        @Test func matchesDoublePrecisionAndItsOwnPattern() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 21)
                for c in Self.cases {
                    let keys = c.position + c.t, ratio = c.heads / c.groups
                    let q = numbers.floats(c.t * c.heads * c.headDim).map { $0 * 3 }
                    let k = numbers.floats(keys * c.groups * c.headDim).map { $0 * 3 }
                    let v = numbers.floats(keys * c.groups * c.headDim)
                    let run = Self.run(c, q: q, k: k, v: v, rowsPerCall: c.t)
                    var worst = 0.0, worstStatistic = 0.0, worstPattern = 0.0
                    for head in 0..<c.heads {
                        for i in 0..<c.t {
                            let position = c.position + i, group = head / ratio
                            let first = c.window > 0 ? max(0, position - c.window + 1) : 0
                            let scores = (first...position).map { key in
                                (0..<c.headDim).reduce(0.0) { sum, d in
                                    sum + Double(q[(i * c.heads + head) * c.headDim + d])
                                        * Double(k[(key * c.groups + group) * c.headDim + d])
                                } / Double(c.headDim).squareRoot()
                            }
                            let top = scores.max()!
                            let total = scores.map { exp($0 - top) }.reduce(0, +)
                            let weights = scores.map { exp($0 - top) / total }
                            for d in 0..<c.headDim {
                                let exact = zip(first...position, weights).reduce(0.0) { sum, pair in
                                    sum + pair.1 * Double(v[(pair.0 * c.groups + group) * c.headDim + d])
                                }
                                let at = (i * c.heads + head) * c.headDim + d
                                worst = max(worst, abs(Double(run.out[at]) - exact))
                                worst = max(worst, abs(Double(run.fromPattern[at]) - exact))
                            }
                            for key in 0..<keys {
                                let exact = key >= first && key <= position ? weights[key - first] : 0
                                let given = run.pattern[(head * c.t + i) * keys + key]
                                worstPattern = max(worstPattern, abs(Double(given) - exact))
                            }
                            let expected = [
                                -weights.reduce(0.0) { $0 + ($1 > 0 ? $1 * log($1) : 0) },
                                first == 0 ? weights[0] : 0,
                                position - 1 >= first ? weights[position - 1 - first] : 0,
                                zip(first...position, weights).reduce(0.0) { $0 + Double(position - $1.0) * $1.1 },
                                weights.max()!,
                            ]
                            for (s, value) in expected.enumerated() {
                                let given = Double(run.statistics[(s * c.heads + head) * c.t + i])
                                worstStatistic = max(worstStatistic, abs(given - value) / max(1, abs(value)))
                            }
                        }
                    }
                    #expect(worst <= 2e-6, "isa \(isa.rawValue) \(c)")
                    #expect(worstPattern <= 2e-6, "isa \(isa.rawValue) \(c)")
                    #expect(worstStatistic <= 5e-6, "isa \(isa.rawValue) \(c)")
                }
            }
        }

        /// No bit depends on which query rows are computed together.
        @Test func rowsAreIndependent() {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 22)
                for c in Self.cases + Self.tiledCases {
                    let keys = c.position + c.t
                    let q = numbers.floats(c.t * c.heads * c.headDim)
                    let k = numbers.floats(keys * c.groups * c.headDim)
                    let v = numbers.floats(keys * c.groups * c.headDim)
                    let whole = Self.run(c, q: q, k: k, v: v, rowsPerCall: c.t)
                    for rowsPerCall in [1, 5] {
                        let parts = Self.run(c, q: q, k: k, v: v, rowsPerCall: rowsPerCall)
                        #expect(whole.out == parts.out, "isa \(isa.rawValue) \(c)")
                        #expect(whole.statistics == parts.statistics, "isa \(isa.rawValue) \(c)")
                        #expect(!c.hasSinks || whole.sinkMass == parts.sinkMass, "isa \(isa.rawValue) \(c)")
                    }
                }
            }
        }

        /// A cache gives the bits of the f32 values it holds, head by head.
        @Test(arguments: [(CK_F32, 4), (CK_F16, 2), (CK_BF16, 2), (CK_Q8_0, 1)]) func cached(
            _ type: ck_type, _ bytes: Int
        ) {
            KernelTests.withEachInstructionSet { isa in
                var numbers = SeededGenerator(state: 23)
                let (heads, groups, headDim) = (4, 2, 32)
                let rowBytes = type == CK_Q8_0 ? 34 : bytes * headDim
                for (t, position, tilesFrom) in [
                    (3, 0, 0), (1, 70, 0), (9, 130, 0), (3, 0, 1), (1, 70, 1), (9, 130, 135),
                ] {
                    let keys = t + position
                    let q = numbers.floats(t * heads * headDim)
                    let k = numbers.floats(groups * keys * headDim), v = numbers.floats(groups * keys * headDim)
                    let caches = [k, v].map { values in
                        var cache = [UInt8](repeating: 0, count: groups * keys * rowBytes)
                        ck_store(type, values, Int64(values.count), &cache)
                        return cache
                    }
                    let wide = caches.map { cache in
                        var values = [Float](repeating: 0, count: groups * keys * headDim)
                        ck_dequantize(type, cache, Int64(values.count), &values)
                        return values
                    }
                    var plain = [Float](repeating: .nan, count: q.count), cached = plain
                    q.withUnsafeBufferPointer { q in
                        wide[0].withUnsafeBufferPointer { k in
                            wide[1].withUnsafeBufferPointer { v in
                                var a = ck_attention()
                                a.q = q.baseAddress
                                a.q_stride = Int64(heads * headDim)
                                a.out_stride = a.q_stride
                                (a.k_stride, a.v_stride) = (Int64(headDim), Int64(headDim))
                                (a.heads, a.groups, a.head_dim) = (Int64(heads), Int64(groups), Int64(headDim))
                                a.position = Int64(position)
                                a.scale = 0.25
                                a.tiles_from = Int64(tilesFrom)
                                withAligned(ck_attention_scratch_bytes(&a)) { scratch in
                                    for group in 0..<groups {
                                        // Head by head: shift so that the group's offset lands on its own part.
                                        let shift = group * (keys - 1) * headDim
                                        a.k = k.baseAddress! + shift
                                        a.v = v.baseAddress! + shift
                                        plain.withUnsafeMutableBufferPointer { out in
                                            a.out = out.baseAddress
                                            ck_attention_rows(&a, Int64(group), 0, Int64(t), scratch)
                                        }
                                        cached.withUnsafeMutableBufferPointer { out in
                                            a.out = out.baseAddress
                                            caches[0].withUnsafeBytes { k in
                                                caches[1].withUnsafeBytes { v in
                                                    let at = group * keys * rowBytes
                                                    ck_attention_rows_cached(
                                                        &a, type, k.baseAddress! + at, rowBytes, v.baseAddress! + at,
                                                        rowBytes, Int64(group), 0, Int64(t), scratch)
                                                }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    #expect(plain == cached, "isa \(isa.rawValue) type \(type.rawValue) t \(t) position \(position)")
                }
            }
        }
    }
}
