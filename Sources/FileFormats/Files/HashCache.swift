import Crypto
import Foundation
import Synchronization

/// Hashes of files between runs, in `moescope/hashes` of the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`): a line for
/// each state of a file, the SHA-256 of what tells that state (device, inode, size, both times), and that of its bytes.
///
/// Nothing rests on it: without the file, or where it cannot be written, files are read and hashed as if it were not there, a line that
/// is not whole is passed over, and whoever finds another hash than expected hashes once more. A folder that is only read
/// keeps its files' hashes here too.
package final class HashCache: Sendable {
    package static let shared = HashCache(folder: HashCache.userFolder)

    /// nil: there is no place for a cache.
    private let file: URL?
    private let lines = Mutex<[String: String]?>(nil)

    /// Lines that are kept; older ones make way. 130 bytes each.
    private static let most = 16_384

    package init(folder: URL?) { file = folder?.appending(path: "hashes") }

    private static var userFolder: URL? {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") {
            return URL(filePath: folder).appending(path: "moescope")
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return URL(filePath: home).appending(path: ".cache/moescope")
    }

    package func hash(of key: String) -> String? {
        lines.withLock { lines in
            if lines == nil { lines = read() }
            return lines?[Self.digest(key)]
        }
    }

    /// Keeps a hash, in one write at the end of the file, so that processes do not disturb each other.
    package func add(_ hash: String, of key: String) {
        let digest = Self.digest(key)
        lines.withLock { lines in
            if lines == nil { lines = read() }
            lines?[digest] = hash
        }
        guard let file else { return }
        try? DurableFolder.make(file.deletingLastPathComponent())
        let descriptor = open(file.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let line = Array("\(digest) \(hash)\n".utf8)
        _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    private func read() -> [String: String] {
        guard let file, let map = try? MappedFile(file) else { return [:] }
        let all = map.bytes.split(separator: UInt8(ascii: "\n"))
        var found: [String: String] = [:]
        for line in all.suffix(Self.most) where line.count == 129 {
            let parts = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 64 && $0.allSatisfy(\.isHexDigit) }) else {
                continue
            }
            found[parts[0]] = parts[1]
        }
        if all.count > 2 * Self.most {
            let kept = all.suffix(Self.most).flatMap { Array($0) + [UInt8(ascii: "\n")] }
            try? AtomicFileWriter.write(kept, to: file)
        }
        return found
    }

    private static func digest(_ key: String) -> String { SHA256.hash(data: Array(key.utf8)).hex }
}
