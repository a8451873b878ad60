import Crypto
import FileFormats

/// SHA-256 of what a model reads: of each document the number of its tokens and their ids, as little-endian Int32.
public struct TokensHash {
    private var hash = SHA256()

    public init() {}

    /// Adds the tokens of the next document.
    public mutating func add(_ ids: some Collection<Int32>) {
        withUnsafeBytes(of: Int32(ids.count).littleEndian) { hash.update(bufferPointer: $0) }
        // Every processor that MoEScope runs on is little-endian.
        Array(ids).withUnsafeBytes { hash.update(bufferPointer: $0) }
    }

    /// In hexadecimal digits.
    public func finalized() -> String { hash.finalize().hex }

    /// Of all documents.
    public static func of(_ documents: [[Int32]]) -> String {
        var hash = TokensHash()
        for ids in documents { hash.add(ids) }
        return hash.finalized()
    }
}
