/// Text that grows token by token, given out as soon as it cannot change any more.
///
/// What a token's text is depends on its neighbours (a first space is dropped, a character may take several tokens), so
/// every step decodes a few tokens and gives what is new. The bytes of all steps are those of decoding everything at once.
public struct TokenStream: Sendable {
    private let tokenizer: any Tokenizer
    /// The last tokens whose text is out, then those whose text is not.
    private var window: [Int32]
    private var given: Int
    /// Whether byte tokens in a row are read as one, so that none of them is settled before the row ends.
    private let joinsBytes: Bool

    /// - Parameter context: the tokens before, whose text is not given again.
    public init(_ tokenizer: any Tokenizer, after context: [Int32]) {
        self.tokenizer = tokenizer
        joinsBytes = tokenizer.joinsByteTokens
        // Far enough back to hold a token that has a text, so that a space after it is kept.
        var start = max(0, context.count - 8)
        while start > 0, tokenizer.decodeBytes(context[start...]).isEmpty { start -= 1 }
        if joinsBytes { while start > 0, Self.isByte(context[start - 1], tokenizer) { start -= 1 } }
        window = Array(context[start...])
        given = 0
        given = Self.settled(tokenizer.decodeBytes(window), waiting: false)
    }

    /// Reads a token; gives the bytes that are settled now, whole characters.
    public mutating func append(_ token: Int32) -> [UInt8] {
        window.append(token)
        if joinsBytes, Self.isByte(token, tokenizer) { return [] }
        let bytes = tokenizer.decodeBytes(window)
        let end = Self.settled(bytes, waiting: true)
        guard end > given else { return [] }
        let fresh = Array(bytes[given..<end])
        given = end
        // All out: what comes depends on the last token alone, where that is whole characters by itself.
        if end == bytes.count {
            let alone = tokenizer.decodeBytes([token])
            if !alone.isEmpty, String(validating: alone, as: UTF8.self) != nil,
                Self.settled(alone, waiting: true) == alone.count
            {
                window = [token]
                given = alone.count
            }
        }
        return fresh
    }

    /// What is still held back: the start of a character that never ended.
    public mutating func finish() -> [UInt8] {
        let bytes = tokenizer.decodeBytes(window)
        defer { given = bytes.count }
        return Array(bytes[min(given, bytes.count)...])
    }

    /// Whether a token is one byte that no piece covers.
    private static func isByte(_ token: Int32, _ tokenizer: any Tokenizer) -> Bool {
        guard let piece = tokenizer.piece(token), piece.utf8.count == 6 else { return false }
        return piece.hasPrefix("<0x") && piece.hasSuffix(">")
    }

    /// How many bytes no further token changes: not the start of a character, nor the U+FFFD that stand for one.
    private static func settled(_ bytes: [UInt8], waiting: Bool) -> Int {
        guard waiting else { return bytes.count }
        var end = bytes.count
        // Three bytes of a character can be there without the fourth.
        for _ in 0..<3 where end >= 3 && bytes[(end - 3)..<end].elementsEqual(replacementCharacter) { end -= 3 }
        for length in 1...3 where length <= end {
            let lead = bytes[end - length]
            guard lead & 0xC0 != 0x80 else { continue }
            let needed = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1
            return needed > length ? end - length : end
        }
        return end
    }
}
