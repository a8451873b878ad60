import Checkpoints
import Crypto
import Foundation
import FileFormats
import Tensors
import TestSupport
import Testing

@Suite struct GGUFFileTests {
    static let folder = Fixtures.folder.appending(path: "gguf")

    @Test func metadataOfEveryType() throws {
        let file = try GGUFFile(Self.folder.appending(path: "values.gguf"))
        let metadata = file.metadata
        #expect(file.header.version == 3)
        #expect(metadata["general.architecture"]?.string == "test")
        #expect(metadata["t.u8"] == .unsigned(200))
        #expect(metadata["t.i8"] == .signed(-100))
        #expect(metadata["t.u16"] == .unsigned(60000))
        #expect(metadata["t.i16"] == .signed(-30000))
        #expect(metadata["t.u32"] == .unsigned(4_000_000_000))
        #expect(metadata["t.i32"] == .signed(-2_000_000_000))
        #expect(metadata["t.u64"] == .unsigned(.max))
        #expect(metadata["t.u64"]?.int == nil)
        #expect(metadata["t.i64"] == .signed(.min))
        #expect(metadata["t.f32"] == .float(Double(Float(0.1))))
        #expect(metadata["t.f64"] == .float(0.1))
        #expect(metadata["t.yes"] == .bool(true))
        #expect(metadata["t.text"]?.string == "grüße\n")
        #expect(metadata["t.ints"] == .integers([1, -2, 3]))
        #expect(metadata["t.floats"] == .floats([0.5, -1.5]))
        #expect(metadata["t.strings"] == .strings([Array("a".utf8), [], Array("ü".utf8)]))
    }

    @Test func tensorsOfEveryType() throws {
        struct Expected: Decodable {
            let type: String
            let bytes: Int
            let sha256: String
        }
        let text = try Data(contentsOf: Self.folder.appending(path: "values.json"))
        let expected = try JSONDecoder().decode([String: Expected].self, from: text)
        let file = try GGUFFile(Self.folder.appending(path: "values.gguf"))
        #expect(file.tensors.count == expected.count)
        // MXFP4 is in `Fixtures/dequantize`, and in files of gpt-oss.
        #expect(expected.count == DType.allCases.filter { $0.isWeight && $0 != .mxfp4 }.count)
        for tensor in file.tensors {
            let reference = try #require(expected[tensor.name])
            #expect(tensor.dtype.rawValue == reference.type)
            #expect(tensor.shape == [3, 512])
            #expect(tensor.bytes.count == reference.bytes)
            #expect(SHA256.hash(data: Data(tensor.bytes)).hexText == reference.sha256, "\(tensor.name)")
        }
    }

    @Test func versionTwo() throws {
        let folder = try TemporaryFolder()
        var data = try Data(contentsOf: Self.folder.appending(path: "values.gguf"))
        data[4] = 2
        try data.write(to: folder.path("v2.gguf"))
        #expect(try GGUFFile(folder.path("v2.gguf")).tensors.count == 15)
        for version: UInt8 in [0, 1, 4] {
            data[4] = version
            try data.write(to: folder.path("v.gguf"))
            let found = checkpointError { _ = try GGUFFile(folder.path("v.gguf")) }
            #expect(found?.field == "version")
        }
    }

    /// Cut anywhere, the file is truncated or (within the padding at its end) whole, and nothing crashes.
    @Test func truncation() throws {
        let folder = try TemporaryFolder()
        let data = try Data(contentsOf: Self.folder.appending(path: "values.gguf"))
        let path = folder.path("cut.gguf")
        for length in Array(stride(from: 4, to: 2000, by: 7)) + Array(stride(from: 2000, to: data.count - 64, by: 509))
        {
            try data.prefix(length).write(to: path)
            #expect(checkpointError { _ = try GGUFFile(path) }?.reason == .truncated, "\(length)")
        }
    }

    /// One bit flipped anywhere in the header never crashes.
    @Test func damagedHeaders() throws {
        let data = try Data(contentsOf: Self.folder.appending(path: "values.gguf"))
        for position in 0..<2200 {
            var bytes = [UInt8](data.prefix(2600))
            bytes[position] ^= UInt8(1 << (position % 8))
            bytes.withUnsafeBytes { _ = try? GGUFHeader($0) }
        }
    }
}

/// Headers written by hand.
@Suite struct GGUFHostileTests {
    private struct Builder {
        var bytes = Data("GGUF".utf8)

        mutating func add<T: FixedWidthInteger>(_ value: T) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        mutating func add(_ text: String) {
            add(UInt64(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        mutating func start(tensors: UInt64, metadata: UInt64) {
            add(UInt32(3))
            add(tensors)
            add(metadata)
        }
        mutating func tensor(_ name: String, _ dimensions: [UInt64], type: UInt32, offset: UInt64) {
            add(name)
            add(UInt32(dimensions.count))
            for dimension in dimensions { add(dimension) }
            add(type)
            add(offset)
        }
        mutating func data(_ count: Int) {
            while bytes.count % 32 != 0 { bytes.append(0) }
            bytes.append(Data(count: count))
        }
    }

    private func error(_ build: (inout Builder) -> Void) throws -> FileError? {
        let folder = try TemporaryFolder()
        var builder = Builder()
        build(&builder)
        try builder.bytes.write(to: folder.path("x.gguf"))
        return checkpointError { _ = try GGUFFile(folder.path("x.gguf")) }
    }

    @Test func counts() throws {
        #expect(try error { $0.start(tensors: .max, metadata: 0) }?.reason == .truncated)
        #expect(try error { $0.start(tensors: 0, metadata: 1 << 60) }?.reason == .truncated)
        #expect(
            try error {
                $0.start(tensors: 0, metadata: 1)
                $0.add("k")
                $0.add(UInt32(9))
                $0.add(UInt32(4))
                $0.add(UInt64.max)
                $0.data(64)
            }?.reason == .truncated)
    }

    @Test func nestedArrays() throws {
        let found = try error {
            $0.start(tensors: 0, metadata: 1)
            $0.add("k")
            $0.add(UInt32(9))
            for _ in 0..<1000 {
                $0.add(UInt32(9))
                $0.add(UInt64(1))
            }
        }
        #expect(found?.problem == "arrays are nested too deep")
    }

    @Test func tensorSizes() throws {
        func one(_ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) throws -> FileError? {
            try error {
                $0.start(tensors: 1, metadata: 0)
                $0.tensor("w", dimensions, type: type, offset: offset)
                $0.data(64)
            }
        }
        #expect(try one([16]) == nil)
        #expect(try one([]) == nil)
        #expect(try one([17])?.reason == .truncated)
        #expect(try one([16], offset: 32)?.reason == .truncated)
        #expect(try one([16], offset: .max - 31)?.reason == .malformed)
        #expect(try one([16], offset: UInt64(Int64.max) / 32 * 32)?.reason == .truncated)
        #expect(try one([4], offset: 4)?.problem?.contains("multiple of the alignment") == true)
        #expect(try one([1 << 32, 1 << 32])?.reason == .malformed)
        // 0 times anything is 0, but the product of the others is not.
        #expect(try one([1, 1 << 32, 1 << 32, 0])?.reason == .malformed)
        #expect(try one([0, 1 << 40, 1 << 40])?.reason == .malformed)
        #expect(try one([.max])?.reason == .malformed)
        #expect(try one([1, 1, 1, 1, 1])?.reason == .malformed)
        #expect(try one([16], type: 8)?.expected?.contains("multiple of 32") == true)
        let unknown = try one([256], type: 16)
        #expect(unknown?.reason == .unsupported)
        #expect(unknown?.found == "IQ2_XXS")
    }

    @Test func overlapsAndRepetitions() throws {
        let overlap = try error {
            $0.start(tensors: 2, metadata: 0)
            $0.tensor("a", [16], type: 0, offset: 0)
            $0.tensor("b", [8], type: 0, offset: 32)
            $0.data(64)
        }
        #expect(overlap?.problem == "overlaps a")
        let twice = try error {
            $0.start(tensors: 2, metadata: 0)
            $0.tensor("a", [8], type: 0, offset: 0)
            $0.tensor("a", [8], type: 0, offset: 32)
            $0.data(64)
        }
        #expect(twice?.problem == "the name appears twice")
    }
}

@Suite struct GGUFCheckpointTests {
    private func open(_ name: String) throws -> Checkpoint {
        try Checkpoint.open(GGUFFileTests.folder.appending(path: name))
    }

    @Test func config() throws {
        let checkpoint = try open("merged.gguf")
        let config = checkpoint.config
        #expect(config.architecture == "mixtral")
        #expect(config.attention.rotary.layout == .pairs)
        #expect(config.vocabularySize == 520)
        #expect(
            (config.attention.headCount, config.attention.keyValueHeadCount, config.attention.headSize) == (4, 2, 8))
        #expect((config.experts.count, config.expertsPerToken, config.experts.size) == (3, 2, 32))
        #expect(config.attention.rotary.theta == 1e6)
        #expect(config.norm.epsilon == 1e-5)
        #expect(config.bosToken == 1)
        #expect(!config.tiesOutputToEmbedding)
        #expect(checkpoint.name == "merged")
        #expect(checkpoint.tokenizerFile == checkpoint.url)
        #expect(Set(checkpoint.dtypes.map(\.dtype)) == [.f16, .f32, .q8_0])
    }

    /// Three ways to store the same weights.
    @Test(arguments: ["separate.gguf", "split-00001-of-00002.gguf", "split-00002-of-00002.gguf"])
    func layoutsAgree(_ name: String) throws {
        let merged = try open("merged.gguf")
        let other = try open(name)
        #expect(merged.config == other.config)
        #expect(other.files.count == (name.hasPrefix("split") ? 2 : 1))
        let pairs = Array(zip(merged.tensors.distinct, other.tensors.distinct))
        #expect(pairs.count == merged.tensors.distinct.count)
        for (first, second) in pairs {
            #expect(first.shape == second.shape)
            #expect(first.dtype == second.dtype)
            #expect(Data(first.bytes) == Data(second.bytes), "\(first.name) \(second.name)")
        }
        #expect(merged.parametersTotal == other.parametersTotal)
    }

    @Test func missingPart() throws {
        let folder = try TemporaryFolder()
        let first = "split-00001-of-00002.gguf"
        try FileManager.default.copyItem(at: GGUFFileTests.folder.appending(path: first), to: folder.path(first))
        let found = checkpointError { _ = try Checkpoint.open(folder.path(first)) }
        #expect(found?.reason == .missing)
        #expect(found?.file.hasSuffix("split-00002-of-00002.gguf") == true)
        try FileManager.default.moveItem(at: folder.path(first), to: folder.path("renamed.gguf"))
        #expect(checkpointError { _ = try Checkpoint.open(folder.path("renamed.gguf")) }?.reason == .mismatch)
    }

    @Test func otherArchitectures() throws {
        let found = checkpointError { _ = try open("values.gguf") }
        #expect(found?.field == "metadata general.architecture")
        #expect(found?.found == "\"test\"")
    }
}

extension Sequence where Element == UInt8 {
    fileprivate var hexText: String { map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}
