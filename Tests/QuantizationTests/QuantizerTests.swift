import CKernels
import Checkpoints
import FileFormats
import Foundation
import Quantization
import Tensors
import TestSupport
import Testing

@Suite struct QuantizerTests {
    static let rows = 256
    static let columns = 512

    /// The same numbers as `near_normal` in Tests/Fixtures/quantization/make.py.
    static let nearNormal: [Float] = {
        var numbers = SeededGenerator(state: 42)
        return (0..<rows * columns).map { _ in
            let z = numbers.next()
            let sum = Int(z & 0xFFFF) + Int(z >> 16 & 0xFFFF) + Int(z >> 32 & 0xFFFF) + Int(z >> 48)
            return Float(Double(sum - 2 * 65535) / 37837)
        }
    }()

    private func roundTrip(_ values: [Float], _ dtype: DType) throws -> [Float] {
        let size = try #require(dtype.byteCount(elements: values.count))
        let blocks = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        defer { blocks.deallocate() }
        Quantizer.quantize(values, count: values.count, to: dtype, into: blocks)
        var back = [Float](repeating: 0, count: values.count)
        ck_dequantize(ck_type(rawValue: try #require(dtype.ggufType)), blocks, Int64(values.count), &back)
        return back
    }

    private func error(_ values: [Float], _ back: [Float]) -> Double {
        let squares = zip(values, back).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        return (squares / Double(values.count)).squareRoot()
    }

    /// A tenth of the numbers in this test's unoptimized build would do; llama.cpp's errors are of all.
    @Test(arguments: [
        DType.q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_nl,
    ])
    func noWorseThanLlamaCpp(_ dtype: DType) throws {
        let reference = try #require(try Self.reference().random[dtype.rawValue])
        let ours = error(Self.nearNormal, try roundTrip(Self.nearNormal, dtype))
        #expect(ours <= reference * 1.000001)
        #expect(ours > reference * 0.8)
    }

    /// Blocks of the largest and the smallest numbers of f32, next to each other and alone: no level is out of range, and what
    /// comes back is finite.
    @Test(arguments: Quantizer.types.filter { $0.blockElements > 1 })
    func extremeNumbersHaveLevels(_ dtype: DType) throws {
        let (large, small) = (Float.greatestFiniteMagnitude, Float.leastNonzeroMagnitude)
        for pattern in [
            [large], [-large], [large, -large], [small], [small, 0], [large, small, -small], [large, 0, 1, -1e30],
        ] {
            let values = (0..<256).map { pattern[$0 % pattern.count] }
            #expect(try roundTrip(values, dtype).allSatisfy(\.isFinite), "\(pattern)")
        }
    }

    struct Reference: Decodable {
        let random: [String: Double]
        let polyglot: [String: [String: Double]]
    }

    static func reference() throws -> Reference {
        let text = try Data(contentsOf: Fixtures.folder.appending(path: "quantization/llamacpp.json"))
        return try JSONDecoder().decode(Reference.self, from: text)
    }

    /// Real weights: polyglot's embedding, and matrices of its attention and experts.
    @Test func noWorseOnPolyglot() throws {
        let file = try SafetensorsFile(Fixtures.polyglot.appending(path: "model.safetensors"))
        for (name, errors) in try Self.reference().polyglot {
            let tensor = try #require(file[name])
            let values = tensor.bytes.bindMemory(to: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
            for (type, reference) in errors {
                let ours = error(values, try roundTrip(values, try #require(DType(rawValue: type))))
                #expect(ours <= reference * 1.000001, "\(name) \(type)")
            }
        }
    }

    @Test(arguments: Quantizer.types)
    func extremes(_ dtype: DType) throws {
        let ramps: [[Float]] = [
            [Float](repeating: 0, count: 256), [Float](repeating: 3, count: 256), [Float](repeating: -3, count: 256),
            (0..<256).map { $0 == 7 ? 100 : 0 }, (0..<256).map { Float($0) * 1e-30 },
            (0..<256).map { Float($0 - 128) * 1e-3 }, (0..<256).map { Float($0) * 100 },
            [Float](repeating: Float.leastNonzeroMagnitude, count: 256),
        ]
        for values in ramps {
            let back = try roundTrip(values, dtype)
            let largest = values.reduce(0) { max($0, abs($1)) }
            for (value, restored) in zip(values, back) {
                #expect(restored.isFinite)
                #expect(abs(restored - value) <= largest * 0.35 + 1e-6, "\(dtype.rawValue) \(value) \(restored)")
            }
        }
    }
}
