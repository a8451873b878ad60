import FileFormats
import Crypto
import Foundation
import Synchronization

/// SHA-256 of whole files, remembered for as long as the process runs and the file is the same.
package enum FileHashes {
    /// What tells one state of a file from another.
    struct Identity: Hashable, Sendable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var seconds: Int
        var nanoseconds: Int

        /// nil where there is no such file.
        init?(_ url: URL) {
            var status = stat()
            guard stat(url.path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }

        /// Whether the file was changed so lately that another change might leave the same time.
        var isFresh: Bool { time(nil) - seconds < 2 }
    }

    private static let known = Mutex<[Identity: String]>([:])

    /// Reads the file to its end.
    /// - Returns: the hash in lower-case hexadecimal.
    static func sha256(of url: URL) throws(FileError) -> String {
        let file = try MappedFile(url)
        var hash = SHA256()
        hash.update(bufferPointer: file.bytes)
        return hash.finalize().hex
    }

    /// Reads the file unless this process has done so since it last changed.
    package static func rememberedSHA256(of url: URL) throws(FileError) -> String {
        let before = Identity(url)
        if let before, let hash = known.withLock({ $0[before] }) { return hash }
        let hash = try sha256(of: url)
        if let before, !before.isFresh, Identity(url) == before { known.withLock { $0[before] = hash } }
        return hash
    }
}
