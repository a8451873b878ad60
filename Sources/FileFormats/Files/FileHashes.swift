import Crypto
import Foundation
import Synchronization

/// SHA-256 of whole files, remembered until a file changes: in memory, and between runs in `HashCache`.
package enum FileHashes {
    private static let known = Mutex<[[FileIdentity]: String]>([:])

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
        let before = urls.compactMap { FileIdentity($0) }
        guard before.count == urls.count else { return try sha256(of: urls) }
        if let hash = known.withLock({ $0[before] }) { return hash }
        let key = before.map(\.key).joined(separator: "+")
        if let hash = HashCache.shared.hash(of: key) {
            known.withLock { $0[before] = hash }
            return hash
        }
        let hash = try sha256(of: urls)
        if !before.contains(where: \.isFresh), urls.compactMap({ FileIdentity($0) }) == before {
            known.withLock { $0[before] = hash }
            HashCache.shared.add(hash, of: key)
        }
        return hash
    }

    private static func add(_ url: URL, to hash: inout SHA256) throws(FileError) {
        let (descriptor, _) = try RegularFile.open(url)
        defer { close(descriptor) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = try RegularFile.read(descriptor, into: buffer, file: url)
            if count == 0 { return }
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
