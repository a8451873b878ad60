import Crypto
import Foundation

/// Writes a file under a temporary name beside its place; `finish` flushes it to disk and renames it, so that a
/// reader sees the whole file or none. Dropped without `finish`, it leaves nothing behind.
package struct AtomicFileWriter: ~Copyable {
    private let url: URL
    private let temporaryPath: String
    private let descriptor: Int32
    private var hash = SHA256()
    package private(set) var byteCount = 0

    package init(_ url: URL) throws(FileError) {
        self.url = url
        temporaryPath = "\(url.path).\(getpid()).tmp"
        // A folder of this name would be noticed only when the file is renamed, after all the work, if not now.
        let isFolder = (try? url.resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory ?? false
        descriptor = isFolder ? -1 : open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard !isFolder else {
            throw FileError(.unwritable, file: url.path, expected: "the name of a file", found: "a folder")
        }
        guard descriptor >= 0 else {
            throw FileError(.unwritable, file: url.path, problem: String(cString: strerror(errno)))
        }
    }

    deinit {
        close(descriptor)
        // After a rename nothing has this name any more.
        unlink(temporaryPath)
    }

    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var rest = bytes
        while let start = rest.baseAddress, !rest.isEmpty {
            // Linux writes at most 2³¹ bytes a call.
            let written = Foundation.write(descriptor, start, min(rest.count, 1 << 30))
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError(.unwritable, file: url.path, problem: String(cString: strerror(errno)))
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
        hash.update(bufferPointer: bytes)
        byteCount += bytes.count
    }

    /// Flushes, renames and flushes the folder.
    /// - Returns: the SHA-256 (hex) of everything written.
    package consuming func finish() throws(FileError) -> String {
        guard fsync(descriptor) == 0, rename(temporaryPath, url.path) == 0 else {
            throw FileError(.unwritable, file: url.path, problem: String(cString: strerror(errno)))
        }
        let folder = open(url.deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
        return hash.finalize().hex
    }
}

extension Sequence where Element == UInt8 {
    /// Lower-case hexadecimal.
    package var hex: String {
        var text = ""
        for byte in self {
            text.append(Self.digit(byte >> 4))
            text.append(Self.digit(byte & 15))
        }
        return text
    }

    private static func digit(_ value: UInt8) -> Character {
        Character(Unicode.Scalar(value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10))
    }
}
