/// The compiled normalization rules of a SentencePiece model: a double-array trie of byte strings, and what each
/// becomes.
///
/// Layout: 4 bytes size of the trie (little-endian), the trie's 32-bit units, then zero-terminated replacements. The
/// units are those of darts-clone: 8 bits label, 1 bit "has a value", an offset, relative by exclusive or.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]

    /// Bytes that a rule may write: no text becomes much longer than it was.
    static let longestReplacement = 256
    /// Bytes that a rule may read: a damaged trie can lead round in circles for as long as there is text.
    private static let longestKey = 256

    /// Nil where the sizes do not fit together, or a rule writes too much.
    init?(_ blob: [UInt8]) {
        guard blob.count >= 4 else { return nil }
        func word(_ at: Int) -> UInt32 {
            UInt32(blob[at]) | UInt32(blob[at + 1]) << 8 | UInt32(blob[at + 2]) << 16 | UInt32(blob[at + 3]) << 24
        }
        let size = Int(word(0))
        guard size % 4 == 0, size > 0, size <= blob.count - 4 else { return nil }
        units = stride(from: 4, to: 4 + size, by: 4).map(word)
        replacements = Array(blob[(4 + size)...])
        guard replacements.split(separator: 0).allSatisfy({ $0.count <= Self.longestReplacement }) else { return nil }
    }

    /// The longest rule that `bytes` starts with: how many bytes it takes, and the range of its replacement.
    func longestMatch(_ bytes: UnsafePointer<UInt8>, _ available: Int) -> (length: Int, replacement: Range<Int>)? {
        var node = Self.offset(units[0])
        var best: (length: Int, start: Int)?
        for index in 0..<min(available, Self.longestKey) {
            let byte = UInt32(bytes[index])
            node ^= Int(byte)
            guard node < units.count else { break }
            let unit = units[node]
            guard unit & 0x8000_00FF == byte else { break }
            node ^= Self.offset(unit)
            guard node < units.count else { break }
            if unit >> 8 & 1 == 1 { best = (index + 1, Int(units[node] & 0x7FFF_FFFF)) }
        }
        guard let best, best.start <= replacements.count else { return nil }
        let end = replacements[best.start...].firstIndex(of: 0) ?? replacements.count
        return (best.length, best.start..<end)
    }

    subscript(range: Range<Int>) -> ArraySlice<UInt8> { replacements[range] }

    private static func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 1 << 9) >> 6) }
}
