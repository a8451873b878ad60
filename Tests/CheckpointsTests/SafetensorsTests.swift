import Checkpoints
import FileFormats
import Foundation
import Tensors
import Testing

@Suite struct SafetensorsTests {
    /// Header length, header, data: a file as hostile as one likes.
    private func file(_ header: String, data: Int, length: UInt64? = nil) throws -> (TemporaryFolder, URL) {
        let folder = try TemporaryFolder()
        var bytes = Data()
        withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: header.utf8)
        bytes.append(contentsOf: (0..<data).map { UInt8(truncatingIfNeeded: $0) })
        let url = folder.path("x.safetensors")
        try bytes.write(to: url)
        return (folder, url)
    }

    private func error(_ header: String, data: Int, length: UInt64? = nil) throws -> FileError? {
        let (folder, url) = try file(header, data: data, length: length)
        return withExtendedLifetime(folder) { checkpointError { _ = try SafetensorsFile(url) } }
    }

    @Test func roundTrip() throws {
        let folder = try TemporaryFolder()
        let url = folder.path("x.safetensors")
        let name = "héllo \"quoted\" \\ \u{1}"
        try SafetensorsFile.write(
            [
                .init(name: "bytes", dtype: .u8, shape: [3], values: [UInt8]([1, 2, 3])),
                .init(name: "wide", dtype: .i64, shape: [2, 1], values: [Int64]([-1, .max])),
                .init(name: name, dtype: .f32, shape: [2, 2], values: [Float]([1, 2, 3, 4])),
                .init(name: "scalar", dtype: .f16, shape: [], values: [UInt16]([0x3C00])),
                .init(name: "empty", dtype: .f32, shape: [0, 4], values: [Float]()),
            ], metadata: ["b": "2", "a": "1\n"], to: url)
        let file = try SafetensorsFile(url)
        #expect(file.metadata == ["a": "1\n", "b": "2"])
        #expect(file.tensors.count == 5)
        #expect(file[name]?.floats == [1, 2, 3, 4])
        #expect(file["bytes"].map { Array($0.bytes) } == [1, 2, 3])
        #expect(file["wide"]?.shape == [2, 1])
        #expect(file["scalar"]?.shape == [])
        #expect(file["empty"]?.count == 0)
        #expect(file["nothing"] == nil)
        for tensor in file.tensors where tensor.count > 0 {
            #expect(UInt(bitPattern: tensor.bytes.baseAddress) % UInt(tensor.dtype.blockBytes) == 0)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(left == ["x.safetensors"])
    }

    @Test func writingChecksSizes() throws {
        let folder = try TemporaryFolder()
        let url = folder.path("x.safetensors")
        let found = checkpointError {
            try SafetensorsFile.write(
                [
                    .init(name: "short", dtype: .u8, shape: [4]) { sink throws(FileError) in
                        let bytes: [UInt8] = [1, 2]
                        let result = bytes.withUnsafeBytes { raw in
                            Result { () throws(FileError) -> Void in try sink(raw) }
                        }
                        try result.get()
                    }
                ], to: url)
        }
        #expect(found?.field == "tensor short")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
        let nowhere = checkpointError { try SafetensorsFile.write([], to: folder.path("no/such/x.safetensors")) }
        #expect(nowhere?.reason == .unwritable)
    }

    @Test func misalignedDataAreCopied() throws {
        let (folder, url) = try file(
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                + "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}", data: 5)
        let tensor = try #require(try SafetensorsFile(url)["b"])
        #expect(UInt(bitPattern: tensor.bytes.baseAddress) % 4 == 0)
        #expect(Array(tensor.bytes) == [1, 2, 3, 4])
        withExtendedLifetime(folder) {}
    }

    @Test func headerLengths() throws {
        #expect(try error("", data: 0, length: 1)?.reason == .truncated)
        #expect(try error("{}", data: 0, length: 3)?.reason == .truncated)
        #expect(try error("{}", data: 0, length: .max)?.reason == .malformed)
        #expect(try error("{}", data: 0, length: 1 << 40)?.reason == .malformed)
        let folder = try TemporaryFolder()
        try Data([1, 2, 3]).write(to: folder.path("short"))
        #expect(checkpointError { _ = try SafetensorsFile(folder.path("short")) }?.reason == .truncated)
        try Data().write(to: folder.path("empty"))
        #expect(checkpointError { _ = try SafetensorsFile(folder.path("empty")) }?.reason == .truncated)
    }

    @Test(arguments: [
        "[]", "{\"a\":", "{\"a\":1}", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}",
        // repeated name
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
        // size and shape disagree
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
        // backwards
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}",
        // negative
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[-4,0]}}",
        // products and offsets beyond 64 bits
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,281474976710656,281474976710656],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,9223372036854775807],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[18446744073709551612,18446744073709551616]}}",
        // a gap, an overlap, bytes nobody owns
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[1,4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}",
        "{\"__metadata__\":{\"a\":1},\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
    ])
    func malformedHeaders(_ header: String) throws {
        #expect(try error(header, data: 4)?.reason == .malformed)
    }

    @Test func truncatedData() throws {
        let found = try error("{\"a\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}}", data: 4)
        #expect(found?.reason == .truncated)
        #expect(found?.field == "tensor a")
    }

    /// As safetensors 0.8.0 reads it.
    @Test func metadataMayBeNull() throws {
        let (folder, url) = try file(
            "{\"__metadata__\":null,\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", data: 1)
        let opened = try withExtendedLifetime(folder) { try SafetensorsFile(url) }
        #expect(opened.metadata.isEmpty && opened.tensors.map(\.name) == ["a"])
    }

    /// "Å" as one character and as A with a ring: equal strings of different bytes.
    @Test func namesThatOnlyUnicodeTellsApart() throws {
        let found = try error(
            "{\"\u{C5}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                + "\"A\u{30A}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", data: 2)
        #expect(found?.reason == .malformed && found?.problem?.contains("another Unicode spelling") == true)
    }

    @Test func unknownType() throws {
        let found = try error("{\"a\":{\"dtype\":\"Q4_K\",\"shape\":[4],\"data_offsets\":[0,4]}}", data: 4)
        #expect(found?.reason == .unsupported)
        #expect(found?.found == "Q4_K")
    }

    @Test func deepNesting() throws {
        let header = String(repeating: "[", count: 100_000)
        #expect(try error(header, data: 0)?.problem?.contains("nested too deep") == true)
    }
}
