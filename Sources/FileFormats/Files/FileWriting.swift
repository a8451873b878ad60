import Crypto
import Foundation

/// Writes a file under a temporary name beside its place; `finish` flushes it to disk and renames it, so that a
/// reader sees the whole file or none. Dropped without `finish`, it leaves nothing behind; killed, it leaves the temporary file,
/// which the next writer of the same file removes.
///
/// A link is followed to the file that it names; what is no regular file (a pipe, a device) is written into as it is.
package struct AtomicFileWriter: ~Copyable {
    /// Whose folder a file lies in.
    package enum Place: Sendable {
        /// The user's: leftovers of killed writers are looked for, and links are followed.
        case anywhere
        /// A folder that only one writer at a time works in, and which it cleans by itself; links are replaced, never followed.
        case ownFolder
    }

    private let url: URL
    /// nil where bytes go straight into a pipe or a device.
    private var temporaryPath: String?
    private let descriptor: Int32
    private var hash = SHA256()
    package private(set) var byteCount = 0
    /// The end of what was written, kept until it is a whole piece.
    private var pending: [UInt8] = []

    /// Bytes of one call to the kernel: Linux keeps what is written in small parts in small pages, from which weights are read 5 %
    /// slower for as long as the file stays in memory.
    package static let pieceBytes = 1 << 24

    package init(_ url: URL, in place: Place = .anywhere) throws(FileError) {
        let target = place == .anywhere ? Self.following(url) : url
        let opened = try Self.open(target, in: place)
        self.url = target
        temporaryPath = opened.path
        descriptor = opened.descriptor
    }

    private static func open(_ target: URL, in place: Place) throws(FileError) -> (path: String?, descriptor: Int32) {
        var status = stat()
        let exists = stat(target.path, &status) == 0
        // A folder of this name would be noticed only when the file is renamed, after all the work, if not now.
        guard !exists || status.st_mode & S_IFMT != S_IFDIR else {
            throw FileError(.unwritable, file: target.path, expected: "the name of a file", found: "a folder")
        }
        var path: String?
        let descriptor: Int32
        if place == .anywhere, exists, status.st_mode & S_IFMT != S_IFREG {
            descriptor = Foundation.open(target.path, O_WRONLY | O_CLOEXEC)
        } else {
            if place == .anywhere { TemporaryFiles.removeLeftovers(of: target) }
            (path, descriptor) = TemporaryFiles.create(for: target)
        }
        guard descriptor >= 0 else {
            throw FileError(.unwritable, file: target.path, problem: String(cString: strerror(errno)))
        }
        return (path, descriptor)
    }

    deinit {
        // Removed while it is held: nobody can take it for a leftover meanwhile.
        if let temporaryPath { unlink(temporaryPath) }
        close(descriptor)
    }

    /// The whole of a file at once.
    package static func write(
        _ bytes: some ContiguousBytes, to url: URL, in place: Place = .anywhere
    ) throws(FileError) {
        var writer = try AtomicFileWriter(url, in: place)
        var failure: FileError?
        bytes.withUnsafeBytes { raw in
            do throws(FileError) { try writer.write(raw) } catch { failure = error }
        }
        if let failure { throw failure }
        _ = try writer.finish()
    }

    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        hash.update(bufferPointer: bytes)
        byteCount += bytes.count
        // What reads a pipe waits for it.
        guard temporaryPath != nil else { return try writeOut(bytes) }
        var rest = bytes
        if !pending.isEmpty {
            let count = min(rest.count, Self.pieceBytes - pending.count)
            pending.append(contentsOf: rest[..<count])
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            guard pending.count == Self.pieceBytes else { return }
            try writePending()
        }
        let whole = rest.count / Self.pieceBytes * Self.pieceBytes
        try writeOut(UnsafeRawBufferPointer(rebasing: rest[..<whole]))
        pending.append(contentsOf: rest[whole...])
    }

    private mutating func writePending() throws(FileError) {
        try pending.withUnsafeBufferPointer { bytes throws(FileError) in try writeOut(UnsafeRawBufferPointer(bytes)) }
        pending.removeAll(keepingCapacity: true)
    }

    private func writeOut(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
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
    }

    /// Flushes, renames and flushes the folder.
    /// - Returns: the SHA-256 (hex) of everything written.
    package consuming func finish() throws(FileError) -> String {
        guard let temporaryPath else { return hash.finalize().hex }
        try writePending()
        guard fsync(descriptor) == 0, rename(temporaryPath, url.path) == 0 else {
            throw FileError(.unwritable, file: url.path, problem: String(cString: strerror(errno)))
        }
        // The name is free again, and may be another writer's by now.
        self.temporaryPath = nil
        DurableFolder.flush(url.deletingLastPathComponent())
        return hash.finalize().hex
    }

    /// Where a link leads; the same where there is none, or it leads nowhere.
    private static func following(_ url: URL) -> URL {
        guard RegularFile.kind(url) == S_IFLNK, let path = realpath(url.path, nil) else { return url }
        defer { free(path) }
        return URL(filePath: String(cString: path))
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
