import CKernels
import CTileEmulation
import Tensors
import Testing

extension KernelTests {
    /// The tile product: its twin in plain C, and the compiled instructions where the processor has them or where an
    /// illegal instruction can be answered for it.
    @Suite(.serialized) struct Tiles {
        /// A product of the twin, or of the tile instructions.
        static func product(
            _ type: ck_type, _ mode: ck_mode = CK_FAST, instructions: Bool = false, weights: [UInt8], x: [Float],
            n: Int,
            m: Int,
            k: Int
        ) -> [Float] {
            defer { _ = ck_isa_select(ck_isa_best()) }
            _ = ck_isa_select(CK_AMX_TWIN)
            if instructions { ck_isa_choose(tile_emulation_instructions()) }
            return matmul(
                type, mode, weights: weights, rowBytes: weights.count / m, x: x, xStride: k,
                n: n, m: m, k: k)
        }

        /// One tile and parts of one, more tiles than a panel has, more steps than a chunk has, inputs past the last step; more
        /// activations than weights meet at once, for which bf16 weights are copied while they are multiplied.
        static let shapes = [
            (1, 16, 64), (5, 50, 300), (33, 33, 1056), (17, 145, 1024), (40, 130, 77), (2, 5, 3), (70, 147, 1088),
        ]

        /// With one, two and three planes of activations.
        static let modes = [CK_FAST, CK_FINE, CK_PRECISE]

        @Test(arguments: [CK_F32, CK_F16, CK_BF16], modes)
        func theInstructionsGiveTheTwinsBits(_ type: ck_type, _ mode: ck_mode) {
            guard ck_isa_available(CK_AMX_TWIN), tile_emulation_begin() else { return }
            defer { tile_emulation_end() }
            var numbers = SeededGenerator(state: 51)
            for (n, m, k) in Self.shapes {
                let x = numbers.floats(n * k)
                let (bytes, _) = FastMatmul.stored(numbers.floats(m * k), type)
                let before = tile_emulation_count()
                let ours = Self.product(
                    type, mode, instructions: true, weights: bytes, x: x, n: n, m: m, k: k)
                #expect(tile_emulation_count() > before || ck_isa_available(CK_AMX))
                let twin = Self.product(type, mode, weights: bytes, x: x, n: n, m: m, k: k)
                #expect(ours.map(\.bitPattern) == twin.map(\.bitPattern), "\(n) \(m) \(k)")
            }
        }

        /// One and two tiles of activations, for which weights are read in another order, and three; rows of weights that fill pairs of
        /// tiles and rows past them, more of them than a panel has and more inputs than a chunk; superblocks that end with the row, and
        /// where there are such, blocks past them.
        @Test(arguments: Dequantize.types)
        func quantizedWeightsToo(_ name: String, _ type: ck_type) throws {
            guard ck_isa_available(CK_AMX_TWIN), tile_emulation_begin() else { return }
            defer { tile_emulation_end() }
            let elements = name.hasSuffix("_K") || name == "IQ4_XS" ? 256 : 32
            var numbers = SeededGenerator(state: 52)
            for (n, m, k) in [(1, 67, 768), (16, 32, 256), (3, 64, 800), (19, 35, 768), (40, 35, 512), (33, 147, 1280)]
            where k % elements == 0 {
                let weights = try FastMatmul.quantizedWeights(name, m: m, k: k, seed: 6)
                let x = numbers.floats(n * k)
                for mode in Self.modes {
                    let ours = Self.product(
                        type, mode, instructions: true, weights: weights, x: x, n: n, m: m, k: k)
                    let twin = Self.product(type, mode, weights: weights, x: x, n: n, m: m, k: k)
                    #expect(ours.map(\.bitPattern) == twin.map(\.bitPattern), "\(n) \(m) \(k)")
                }
            }
        }

        /// Activations as tiles: with the vectors that go with the tile instructions, and with the twin's; rows and inputs that
        /// fill no tile, and numbers that rounding treats apart.
        @Test(arguments: modes) func activationsArePackedAlike(_ mode: ck_mode) {
            guard ck_isa_available(CK_AMX_TWIN), tile_emulation_begin() else { return }
            defer {
                tile_emulation_end()
                _ = ck_isa_select(ck_isa_best())
            }
            var numbers = SeededGenerator(state: 57)
            let (n, k) = (37, 100)
            var x = numbers.floats(n * k)
            let special: [Float] = [
                .nan, .infinity, -.infinity, 0, -0.0, 0x1p-126, Float.leastNormalMagnitude.nextDown,
                -Float.leastNormalMagnitude.nextDown, .leastNonzeroMagnitude,
                .greatestFiniteMagnitude,
                0x1.008p0, 0x1.018p0, 0x1.0101p-118,
            ]
            for place in x.indices where place % 7 == 0 { x[place] = special[place / 7 % special.count] }
            func packed() -> [UInt8] {
                let count = ck_activation_bytes(CK_BF16, mode, Int64(n), Int64(k))
                return withAligned(count) { memory in
                    ck_pack_activations(CK_BF16, mode, x, Int64(k), nil, Int64(n), Int64(k), 0, Int64(n), memory)
                    return Array(UnsafeRawBufferPointer(start: memory, count: count))
                }
            }
            _ = ck_isa_select(CK_AMX_TWIN)
            let twin = packed()
            ck_isa_choose(tile_emulation_instructions())
            let differing = zip(packed(), twin).filter { $0 != $1 }.count
            #expect(differing == 0)
        }

        /// bf16 weights as they are stored, from f32 that have no more bits.
        private static func bf16(_ values: [Float]) -> [UInt8] {
            values.map { UInt16($0.bitPattern >> 16) }.withUnsafeBytes(Array.init)
        }

        /// What is smaller than the smallest normal number is 0, as an operand and as a result. A sum counts as smaller when
        /// it is so rounded to 24 bits (as the manual defines it, volume 1, 4.9.1.5), not to the bits a denormal has: 2⁻¹²⁶ less
        /// half of 2⁻¹⁵⁰ rounds to 2⁻¹²⁶, less three quarters of it to what is below.
        @Test func denormalsAreFlushed() {
            guard ck_isa_available(CK_AMX_TWIN) else { return }
            let tiny: Float = 0x1p-126
            for (x, w, expected) in [
                ([0x1p-63, 0, 0x1p-75], [0x1p-63, 0, -0x1p-76], tiny),  // less 2⁻¹⁵¹
                ([0x1p-63, 0, 0x1p-75], [0x1p-63, 0, -0x1.8p-76], 0),  // less 2⁻¹⁵⁰ · 3/4
                ([0x1p-63, 0, 0], [0x1p-64, 0, 0], 0),  // a product of 2⁻¹²⁷
                ([0x1p-127, 0, 0], [0x1p+100, 0, 0], 0),  // an operand of 2⁻¹²⁷
                ([0x1.8p-63, 0x1p-63, 0], [0x1p-63, -0x1p-63, 0], 0),  // halves that leave 2⁻¹²⁷
            ] as [([Float], [Float], Float)] {
                let y = Self.product(CK_BF16, weights: Self.bf16(w), x: x, n: 1, m: 1, k: 3)
                #expect(y == [expected], "\(x) \(w)")
                guard tile_emulation_begin() else { continue }
                #expect(Self.product(CK_BF16, instructions: true, weights: Self.bf16(w), x: x, n: 1, m: 1, k: 3) == y)
                tile_emulation_end()
            }
        }

        /// Products around the smallest normal number: the twin and this processor's own multiply-add.
        @Test func smallSumsAgree() {
            guard ck_isa_available(CK_AMX_TWIN), tile_emulation_begin() else { return }
            defer { tile_emulation_end() }
            var numbers = SeededGenerator(state: 53)
            func value() -> Float {
                let word = UInt32(truncatingIfNeeded: numbers.next() >> 32)
                return Float(bitPattern: word & 0x807F_0000 | (58 + (word >> 8) % 13) << 23)
            }
            let (n, m, k) = (32, 32, 96)
            for _ in 0..<4 {
                let x = (0..<n * k).map { _ in value() }, weights = Self.bf16((0..<m * k).map { _ in value() })
                let twin = Self.product(CK_BF16, weights: weights, x: x, n: n, m: m, k: k)
                let ours = Self.product(CK_BF16, instructions: true, weights: weights, x: x, n: n, m: m, k: k)
                #expect(twin.map(\.bitPattern) == ours.map(\.bitPattern))
                #expect(twin.contains { $0 != 0 } && twin.allSatisfy { $0 == 0 || $0.isNormal })
            }
        }

        /// Weights that are read where they lie and weights from a panel, one tile of rows and several.
        @Test func fewRowsHaveTheBitsOfMany() {
            guard ck_isa_available(CK_AMX_TWIN) else { return }
            var numbers = SeededGenerator(state: 54)
            let (n, m, k) = (70, 147, 1056)
            let x = numbers.floats(n * k)
            let (bytes, _) = FastMatmul.stored(numbers.floats(m * k), CK_BF16)
            for mode in Self.modes {
                let all = Self.product(CK_BF16, mode, weights: bytes, x: x, n: n, m: m, k: k)
                for count in [1, 15, 16, 17, 32, 33] {
                    let some = Self.product(
                        CK_BF16, mode, weights: bytes, x: Array(x.prefix(count * k)), n: count, m: m, k: k)
                    #expect(some == Array(all.prefix(count * m)), "\(mode) \(count)")
                }
            }
        }

        /// Two bf16 hold an activation to 2⁻¹⁷ at worst, a weight in bf16 is whole, and each step rounds sums as in one plane.
        @Test func twoPlanesOfActivations() {
            KernelTests.withEachInstructionSet { isa in
                guard KernelTests.hasTiles(isa) else { return }
                var numbers = SeededGenerator(state: 56)
                for (n, m, k) in [(3, 20, 64), (17, 33, 1100), (40, 35, 512)] {
                    let x = numbers.floats(n * k)
                    let (bytes, wide) = FastMatmul.stored(numbers.floats(m * k), CK_BF16)
                    let exact = referenceMatmul(weights: wide, x: x, n: n, m: m, k: k)
                    let sizes = referenceMatmul(weights: wide.map(abs), x: x.map(abs), n: n, m: m, k: k)
                    func worst(_ mode: ck_mode) -> Double {
                        let y = matmul(
                            CK_BF16, mode, weights: bytes, rowBytes: 2 * k, x: x, xStride: k, n: n, m: m, k: k)
                        return zip(y, zip(exact, sizes)).map { abs(Double($0) - $1.0) / $1.1 }.max() ?? .nan
                    }
                    #expect(worst(CK_FINE) <= 0x1p-16 && worst(CK_FAST) <= 0x1.01p-9)
                    #expect(worst(CK_FAST) > 0x1p-15)
                }
            }
        }

        /// Three bf16 hold an f32, so that only the sums round: chains of k/32 steps of sixteen terms and one.
        @Test(arguments: [CK_F32, CK_F16, CK_BF16]) func preciseIsNearlyExact(_ type: ck_type) {
            guard ck_isa_available(CK_AMX_TWIN) else { return }
            var numbers = SeededGenerator(state: 55)
            for (n, m, k) in [(3, 20, 64), (17, 33, 1100)] {
                let x = numbers.floats(n * k)
                let (bytes, wide) = FastMatmul.stored(numbers.floats(m * k), type)
                let y = Self.product(type, CK_PRECISE, weights: bytes, x: x, n: n, m: m, k: k)
                let exact = referenceMatmul(weights: wide, x: x, n: n, m: m, k: k)
                let sizes = referenceMatmul(weights: wide.map(abs), x: x.map(abs), n: n, m: m, k: k)
                for (value, (expected, size)) in zip(y, zip(exact, sizes)) {
                    #expect(abs(Double(value) - expected) <= 0x1p-22 * size)
                }
            }
        }
    }
}
