import CKernels
import CTileEmulation
import Foundation
import Tensors
import Testing

extension KernelTests.Tiles {
    /// Attention on tiles: the twin beside f32, and the compiled instructions beside the twin.
    @Suite struct Attention {
        typealias Case = KernelTests.Attention.Case
        typealias Run = KernelTests.Attention.Run

        /// What a case gives with the twin, or with the tile instructions.
        static func run(_ c: Case, instructions: Bool = false, _ inputs: Inputs) -> Run {
            defer { _ = ck_isa_select(ck_isa_best()) }
            _ = ck_isa_select(CK_AMX_TWIN)
            if instructions { ck_isa_choose(tile_emulation_instructions()) }
            return KernelTests.Attention.run(c, q: inputs.q, k: inputs.k, v: inputs.v, rowsPerCall: c.t)
        }

        struct Inputs {
            let q: [Float], k: [Float], v: [Float]

            init(_ c: Case, seed: UInt64, size: Float = 1) {
                var numbers = SeededGenerator(state: seed)
                q = numbers.floats(c.t * c.heads * c.headDim).map { $0 * size }
                k = numbers.floats((c.position + c.t) * c.groups * c.headDim).map { $0 * size }
                v = numbers.floats((c.position + c.t) * c.groups * c.headDim)
            }
        }

        @Test func theInstructionsGiveTheTwinsBits() {
            guard ck_isa_available(CK_AMX_TWIN), tile_emulation_begin() else { return }
            defer { tile_emulation_end() }
            for c in KernelTests.Attention.tiledCases {
                let inputs = Inputs(c, seed: 61)
                let before = tile_emulation_count()
                let ours = Self.run(c, instructions: true, inputs), twin = Self.run(c, inputs)
                #expect(tile_emulation_count() > before || ck_isa_available(CK_AMX))
                #expect(ours.out.map(\.bitPattern) == twin.out.map(\.bitPattern), "\(c)")
                #expect(ours.statistics.map(\.bitPattern) == twin.statistics.map(\.bitPattern), "\(c)")
                #expect(ours.pattern.map(\.bitPattern) == twin.pattern.map(\.bitPattern), "\(c)")
                #expect(!c.hasSinks || ours.sinkMass == twin.sinkMass, "\(c)")
            }
        }

        /// Two parts of bf16 hold queries and keys to 2⁻¹⁷, and what is left out is 2⁻¹⁸: a score moves by δ ≤ 2⁻¹⁵ Σ |q·k| · scale
        /// at most, and so a weight by a factor of e^±2δ; weights and values in two parts move an output by 2⁻¹⁵ of the largest
        /// value besides. Entropy moves by 2δ ln n.
        @Test func isAsNearAsTwoPartsOfBF16() {
            guard ck_isa_available(CK_AMX_TWIN) else { return }
            for c in KernelTests.Attention.tiledCases {
                let inputs = Inputs(c, seed: 62, size: 2)
                let ours = Self.run(c, inputs)
                var plain = c
                plain.tilesFrom = 0
                let exact = Self.run(plain, inputs)
                var differing = 0, squares = 0.0, count = 0
                for head in 0..<c.heads {
                    let group = head / (c.heads / c.groups)
                    for row in 0..<c.t {
                        let position = c.position + row
                        let seen = c.window > 0 ? min(position + 1, c.window) : position + 1
                        let places = (row * c.heads + head) * c.headDim..<(row * c.heads + head + 1) * c.headDim
                        let statistics = (0..<5).map { ($0 * c.heads + head) * c.t + row }
                        guard seen >= c.tilesFrom else {
                            #expect(places.allSatisfy { ours.out[$0] == exact.out[$0] }, "\(c) row \(row)")
                            #expect(statistics.allSatisfy { ours.statistics[$0] == exact.statistics[$0] })
                            continue
                        }
                        let sizes = (position + 1 - seen...position).map { key in
                            zip(places, 0..<c.headDim).reduce(Float(0)) { sum, place in
                                sum + abs(inputs.q[place.0] * inputs.k[(key * c.groups + group) * c.headDim + place.1])
                            } / Float(c.headDim).squareRoot()
                        }
                        let delta = 0x1p-15 * sizes.max()!, factor = exp(2 * delta) - 1
                        for place in places {
                            let error = abs(ours.out[place] - exact.out[place])
                            #expect(error <= factor + 0x1p-15, "\(c) row \(row)")
                            differing += error > 0 ? 1 : 0
                            squares += Double(error * error)
                            count += 1
                        }
                        let moved = statistics.map { abs(ours.statistics[$0] - exact.statistics[$0]) }
                        #expect(moved[0] <= 2 * delta * log(Float(seen + 1)) + 1e-5, "\(c) row \(row)")
                        for s in [1, 2, 4] { #expect(moved[s] <= factor * exact.statistics[statistics[s]] + 1e-6) }
                        #expect(moved[3] <= factor * Float(seen) + 1e-4)
                        if c.hasSinks {
                            let place = head * c.t + row
                            #expect(abs(ours.sinkMass[place] - exact.sinkMass[place]) <= factor)
                        }
                    }
                }
                // The bound is for errors that all point one way; they do not.
                #expect(count > 0 && differing > count / 2 && (squares / Double(count)).squareRoot() < 5e-6, "\(c)")
            }
        }

        /// The pattern that hooks see is that of the outputs: scores of the same bits, its values summed in f32.
        @Test func theOutputsAreThoseOfThePattern() {
            guard ck_isa_available(CK_AMX_TWIN) else { return }
            for var c in KernelTests.Attention.tiledCases {
                c.hasSinks = false
                let run = Self.run(c, Inputs(c, seed: 63, size: 2))
                for (given, expected) in zip(run.out, run.fromPattern) { #expect(abs(given - expected) <= 0x1p-14) }
                for head in 0..<c.heads {
                    for row in 0..<c.t {
                        let keys = c.position + c.t
                        let weights = run.pattern[(head * c.t + row) * keys..<(head * c.t + row + 1) * keys]
                        let largest = run.statistics[(4 * c.heads + head) * c.t + row]
                        #expect(abs(largest - weights.max()!) <= 2e-6, "\(c) row \(row)")
                    }
                }
            }
        }
    }
}
