import CKernels
import Checkpoints
import FileFormats
import Foundation
import MoEModel
import Quantization
import Tensors
import TestSupport
import Testing

@Suite struct ImportanceTests {
    static let weighted: [DType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_nl]

    private func roundTrip(_ values: [Float], _ dtype: DType, _ importance: [Float]?) throws -> [Float] {
        let size = try #require(dtype.byteCount(elements: values.count))
        let blocks = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        defer { blocks.deallocate() }
        if let importance {
            importance.withUnsafeBufferPointer {
                Quantizer.quantize(values, count: values.count, to: dtype, into: blocks, importance: $0.baseAddress)
            }
        } else {
            Quantizer.quantize(values, count: values.count, to: dtype, into: blocks)
        }
        var back = [Float](repeating: 0, count: values.count)
        ck_dequantize(ck_type(rawValue: try #require(dtype.ggufType)), blocks, Int64(values.count), &back)
        return back
    }

    /// What counts more is kept better, at the price of the rest; weights that are all alike change nothing.
    @Test(arguments: weighted)
    func weighsErrors(_ dtype: DType) throws {
        let values = Array(QuantizerTests.nearNormal.prefix(16 * 256))
        let importance = values.indices.map { Float($0 % 16 == 3 ? 50 : 1) }
        func error(_ back: [Float]) -> Double {
            values.indices.reduce(0) { $0 + Double(importance[$1]) * pow(Double(values[$1] - back[$1]), 2) }
        }
        let plain = try roundTrip(values, dtype, nil)
        #expect(error(try roundTrip(values, dtype, importance)) < 0.99 * error(plain))
        #expect(try roundTrip(values, dtype, Array(repeating: 1, count: values.count)) == plain)
    }

    private func polyglot() throws -> Checkpoint { try Checkpoint.open(Fixtures.polyglot) }

    /// The file says again what was written into it, and another model's is refused.
    @Test func fileKeepsEverything() throws {
        let url = ExportTests.temporaryFile()
        defer { try? FileManager.default.removeItem(at: url) }
        let matrix = ImportanceMatrix(
            entries: [
                "blk.0.attn_q.weight": .init(sums: (0..<32).map(Float.init), counts: [7]),
                "blk.1.ffn_down_exps.weight": .init(sums: (0..<48).map { Float($0) / 3 }, counts: [0, 5]),
            ], datasets: ["größer.txt"], chunkCount: 3, chunkSize: 512)
        try matrix.write(to: url)
        #expect(try ImportanceMatrix(url) == matrix)
        let refused = #expect(throws: FileError.self) {
            try GGUFExport(polyglot(), mix: .q4_0, tokenizer: [], importance: matrix)
        }
        #expect(refused?.description.contains("blk.0.attn_q.weight") == true)
        #expect(throws: FileError.self) {
            try ImportanceMatrix(Fixtures.folder.appending(path: "gguf/merged.gguf"))
        }
    }

    /// Sums of squares are those of the hooks' values, each expert's over its own tokens.
    @Test func measuresActivations() throws {
        let model = try Model(polyglot(), precision: .exact)
        let tokens: [Int32] = (0..<40).map { $0 * 31 % 8000 + 3 }
        let statistics = ActivationStatistics()
        try model.measure(TokenBatch([Array(tokens[..<25]), Array(tokens[25...])]), into: statistics)
        let output = try #require(statistics.sums[.output])
        #expect(output.rows == 40 && output.squares.count == 256)
        let norm = try SafetensorsFile(Fixtures.polyglot.appending(path: "model.safetensors"))["model.norm.weight"]
        let scale = try #require(norm).bytes.bindMemory(to: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
        // An RMS norm leaves rows of mean square 1, times its weights.
        let unscaled = zip(output.squares, scale).reduce(0) { $0 + $1.0 / Double($1.1 * $1.1) }
        #expect(abs(unscaled / (40 * 256) - 1) < 1e-3)
        for layer in 0..<model.config.layerCount {
            let rows = (0..<8).reduce(0) { $0 + (statistics.sums[.expert(layer: layer, $1)]?.rows ?? 0) }
            #expect(rows == 2 * 40)
            #expect(statistics.sums[.attention(layer: layer)]?.rows == 40)
        }
    }
}
