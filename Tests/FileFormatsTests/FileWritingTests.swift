import Crypto
import FileFormats
import Foundation
import Testing

/// Files are whole or not there, and only what a killed writer of the same file left is removed.
@Suite struct FileWritingTests {
    private func withFolder<R>(_ body: (URL) throws -> R) throws -> R {
        let url = FileManager.default.temporaryDirectory.appending(path: "files-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: url) }
        return try body(url)
    }

    private func names(_ folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    @Test func namesOfTemporaryFilesAreKnown() {
        #expect(TemporaryFiles.target(of: "a.json.12.tmp") == "a.json")
        #expect(TemporaryFiles.target(of: "a.json.12-3.tmp") == "a.json")
        for name in [
            "a.json", "a.tmp", ".12.tmp", "a.json.x.tmp", "a.json.12-.tmp", "a.json.12-3-4.tmp", "a.json.-1.tmp",
            "12.tmp",
        ] {
            #expect(TemporaryFiles.target(of: name) == nil, "\(name)")
        }
    }

    @Test func whatAKilledWriterLeftIsRemoved() throws {
        try withFolder { folder in
            let mine = ["out.gguf.1.tmp", "out.gguf.99999-2.tmp"]
            let others = ["out.gguf.tmp", "out.gguf.x.tmp", "other.gguf.1.tmp", "aout.gguf.1.tmp"]
            for name in mine + others { try Data("x".utf8).write(to: folder.appending(path: name)) }
            try FileManager.default.createDirectory(
                at: folder.appending(path: "out.gguf.7.tmp"), withIntermediateDirectories: false)
            try AtomicFileWriter.write(Array("whole".utf8), to: folder.appending(path: "out.gguf"))
            #expect(try names(folder) == (others + ["out.gguf", "out.gguf.7.tmp"]).sorted())
            #expect(try Data(contentsOf: folder.appending(path: "out.gguf")) == Data("whole".utf8))
        }
    }

    /// Two writers of one file at once: both go on under names of their own, and the later one's file stays.
    @Test func aFileThatIsBeingWrittenIsNoLeftover() throws {
        try withFolder { folder in
            let file = folder.appending(path: "f")
            var first = try AtomicFileWriter(file)
            try Array("first".utf8).withUnsafeBytes { try first.write($0) }
            try AtomicFileWriter.write(Array("second".utf8), to: file)
            #expect(try names(folder).count == 2)
            _ = try first.finish()
            #expect(try Data(contentsOf: file) == Data("first".utf8))
            #expect(try names(folder) == ["f"])
        }
    }

    /// Parts that end within the pieces which the kernel is given, at their ends, and past several of them.
    @Test func partsOfAnySizeMakeOneFile() throws {
        try withFolder { folder in
            let piece = AtomicFileWriter.pieceBytes
            let file = folder.appending(path: "f")
            var writer = try AtomicFileWriter(file)
            var whole = Data()
            for (number, count) in [3, piece - 3, 1, 2 * piece + 5, 0, piece - 6, 7].enumerated() {
                let part = Data(repeating: UInt8(number + 1), count: count)
                try part.withUnsafeBytes { try writer.write($0) }
                whole += part
                #expect(writer.byteCount == whole.count)
            }
            let hash = try writer.finish()
            #expect(try Data(contentsOf: file) == whole)
            #expect(hash == SHA256.hash(data: whole).hex)
        }
    }

    @Test func linksAreFollowedOrReplaced() throws {
        try withFolder { folder in
            let (link, target) = (folder.appending(path: "link"), folder.appending(path: "target"))
            try Data("old".utf8).write(to: target)
            try FileManager.default.createSymbolicLink(at: link, withDestinationURL: target)
            try AtomicFileWriter.write(Array("new".utf8), to: link)
            #expect(try Data(contentsOf: target) == Data("new".utf8))
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link.path) == target.path)
            try AtomicFileWriter.write(Array("own".utf8), to: link, in: .ownFolder)
            #expect(try Data(contentsOf: target) == Data("new".utf8))
            #expect(try Data(contentsOf: link) == Data("own".utf8))
        }
    }

    @Test func devicesAreWrittenInto() throws {
        try AtomicFileWriter.write(Array("x".utf8), to: URL(filePath: "/dev/null"))
        var status = stat()
        #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
        do {
            try AtomicFileWriter.write(Array("x".utf8), to: URL(filePath: "/dev/full"))
            Issue.record("/dev/full took it")
        } catch {
            #expect("\(error)" == "/dev/full: No space left on device")
        }
    }

    @Test func foldersAreMadeWithThoseAroundThem() throws {
        try withFolder { folder in
            let deep = folder.appending(path: "a/b/c")
            try DurableFolder.make(deep)
            try DurableFolder.make(deep)
            #expect(try names(deep) == [])
            let file = folder.appending(path: "file")
            try Data().write(to: file)
            for url in [file, file.appending(path: "below")] {
                #expect(throws: FileError.self) { try DurableFolder.make(url) }
            }
        }
    }
}

@Suite struct HashCacheTests {
    @Test func linesThatAreNotWholeArePassedOver() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let (a, b) = (String(repeating: "a", count: 64), String(repeating: "b", count: 64))
        let cache = HashCache(folder: folder)
        #expect(cache.hash(of: "x") == nil)
        cache.add(a, of: "x")
        #expect(cache.hash(of: "x") == a)
        let file = folder.appending(path: "hashes")
        // What a process that was killed, or a full disk, left in the middle.
        let handle = try FileHandle(forWritingTo: file)
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("0123 \(b)".utf8 + [10]))
        try handle.close()
        cache.add(b, of: "y")
        let again = HashCache(folder: folder)
        #expect(again.hash(of: "x") == a && again.hash(of: "y") == b && again.hash(of: "z") == nil)
    }

    /// Where no cache can be, hashes are made each time.
    @Test func withoutAPlaceNothingIsKept() {
        let hash = String(repeating: "a", count: 64)
        for folder in [nil, URL(filePath: "/proc/none"), URL(filePath: "/dev/null/none")] {
            HashCache(folder: folder).add(hash, of: "x")
            #expect(HashCache(folder: folder).hash(of: "x") == nil)
        }
    }
}
