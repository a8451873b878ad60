import Crypto
import Foundation
import Synchronization

/// SHA-256 of whole files, remembered until a file changes: in memory, and between runs in `HashCache`.
package enum FileHashes {
    /// What tells one state of a file from another. The time of the last change of any kind (ctime) is the system's own: no
    /// program can set it back.
    package struct Identity: Hashable, Sendable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var modified: Time
        var changed: Time

        struct Time: Hashable, Sendable {
            var seconds: Int
            var nanoseconds: Int

            init(_ time: timespec) { (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec) }
        }

        /// nil where there is no such file.
        package init?(_ url: URL) {
            var status = stat()
            guard stat(url.path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modified = Time(status.st_mtim)
            changed = Time(status.st_ctim)
        }

        /// Whether the file was changed so lately that another change might leave the same time.
        var isFresh: Bool { time(nil) - max(modified.seconds, changed.seconds) < 2 }

        /// All of it, as text.
        var key: String {
            "\(device):\(inode):\(size):\(modified.seconds).\(modified.nanoseconds):\(changed.seconds).\(changed.nanoseconds)"
        }
    }

    private static let known = Mutex<[[Identity]: String]>([:])

    /// Reads the files to their ends, one after the other, as if they were one.
    ///
    /// Read, not mapped: hashing files larger than memory must not fill memory, and one that is cut meanwhile is no fault.
    /// - Returns: the hash in lower-case hexadecimal: for one file, what `sha256sum` prints.
    package static func sha256(of urls: [URL]) throws(FileError) -> String {
        var hash = SHA256()
        for url in urls { try add(url, to: &hash) }
        return hash.finalize().hex
    }

    /// The same, unless the files are known to be as they were when they were read.
    package static func rememberedSHA256(of urls: [URL]) throws(FileError) -> String {
        let before = urls.compactMap(Identity.init)
        guard before.count == urls.count else { return try sha256(of: urls) }
        if let hash = known.withLock({ $0[before] }) { return hash }
        let key = before.map(\.key).joined(separator: "+")
        if let hash = HashCache.shared.hash(of: key) {
            known.withLock { $0[before] = hash }
            return hash
        }
        let hash = try sha256(of: urls)
        if !before.contains(where: \.isFresh), urls.compactMap(Identity.init) == before {
            known.withLock { $0[before] = hash }
            HashCache.shared.add(hash, of: key)
        }
        return hash
    }

    private static func add(_ url: URL, to hash: inout SHA256) throws(FileError) {
        let descriptor = open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw FileError(
                errno == ENOENT ? .missing : .unreadable, file: url.path, problem: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(.unreadable, file: url.path, problem: "not a regular file")
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count == 0 { return }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw FileError(.unreadable, file: url.path, problem: String(cString: strerror(errno)))
            }
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
