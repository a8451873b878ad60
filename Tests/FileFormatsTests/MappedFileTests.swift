import FileFormats
import Foundation
import Testing

/// Files that change, or have no end: what is read of them is known to be wrong before it is used.
@Suite(.serialized) struct MappedFileTests {
    private func withFile<R>(bytes: Int, _ body: (URL) throws -> R) throws -> R {
        let file = FileManager.default.temporaryDirectory.appending(path: "mapped-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(repeating: 7, count: bytes).write(to: file)
        return try body(file)
    }

    private func sum(_ map: MappedFile) -> Int { map.bytes.reduce(0) { $0 + Int($1) } }

    /// Half of 64 pages is cut off: without a handler the next line ends the process with SIGBUS.
    @Test func aFileCutShortReadsAsZerosAndIsNamed() throws {
        try withFile(bytes: 64 * 4096) { file in
            let map = try MappedFile(file)
            #expect(sum(map) == 64 * 4096 * 7)
            try MappedFile.check([file])
            try #require(truncate(file.path, off_t(32 * 4096)) == 0)
            #expect(sum(map) == 32 * 4096 * 7)
            let error = try #require(throws: FileError.self) { try MappedFile.check([file]) }
            #expect(error.file == file.path && error.reason == .truncated)
            #expect(error.description.contains("cut short"))
            try MappedFile.check([URL(filePath: "/another/file")])
            #expect(MappedFile.changed([file]) == file)
        }
    }

    /// The map is gone before anybody asks; it is told once.
    @Test func damageOfAMapThatIsGoneIsTold() throws {
        try withFile(bytes: 8 * 4096) { file in
            do {
                let map = try MappedFile(file)
                try #require(truncate(file.path, 0) == 0)
                #expect(sum(map) == 0)
            }
            #expect(throws: FileError.self) { try MappedFile.check([file]) }
            try MappedFile.check([file])
        }
    }

    @Test func aFileThatIsReplacedIsNotChanged() throws {
        try withFile(bytes: 100) { file in
            let map = try MappedFile(file)
            #expect(MappedFile.changed([file]) == nil)
            try Data(repeating: 1, count: 50).write(to: file, options: .atomic)
            #expect(MappedFile.changed([file]) == nil)
            #expect(sum(map) == 700)
        }
    }

    @Test func pipesAndDevicesAreRefused() throws {
        let pipe = FileManager.default.temporaryDirectory.appending(path: "pipe-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: pipe) }
        try #require(mkfifo(pipe.path, 0o600) == 0)
        for url in [pipe, URL(filePath: "/dev/zero"), FileManager.default.temporaryDirectory] {
            let error = #expect(throws: FileError.self) { try FileContents.read(url) }
            #expect(error?.problem == "not a regular file" && error?.file == url.path)
        }
        #expect(try FileContents.readIfThere(URL(filePath: "/no/such/file")) == nil)
        let read = try withFile(bytes: 10) { file in try FileContents.read(file) }
        #expect(read == Data(repeating: 7, count: 10))
    }

    /// Comparing such names takes time that grows with the square of their length.
    @Test func namesWithVeryManyMarksAreRefused() throws {
        let name = "a" + String(repeating: "\u{301}\u{316}", count: 100_000)
        #expect(!StreamSafety.isSafe(name))
        #expect(StreamSafety.isSafe("a" + String(repeating: "\u{301}", count: 128)))
        #expect(!StreamSafety.isSafe("a" + String(repeating: "\u{301}", count: 129)))
        #expect(StreamSafety.isSafe(String(repeating: "a\u{301}\u{316}", count: 10_000)))
        for text in ["{\"\(name)\": 1}", "[\"\(name)\"]"] {
            let error = #expect(throws: JSONSyntaxError.self) { try JSON.parse(Array(text.utf8)) }
            #expect(error?.message.contains("more than 128 combining marks") == true)
        }
        let text = Array("[\"\(name)\"]".utf8)
        let value = try text.withUnsafeBytes { try JSON.parse($0, allowsLongMarks: true) }
        #expect(value.array?[0].string?.utf8.count == 1 + 400_000)
    }
}
