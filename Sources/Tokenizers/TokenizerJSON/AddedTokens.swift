/// Tokens that were added to a vocabulary. Those that are not special are found in text before anything else; special ones
/// (BOS, end of turn, …) only in what a chat template wrote.
struct AddedTokens: Sendable {
    struct Token: Sendable {
        let id: Int32
        let content: [UInt8]
        let isSpecial: Bool
        /// White space to the left (right) belongs to the token.
        let stripsLeft: Bool
        let stripsRight: Bool
        let isSingleWord: Bool
        /// Whether it is looked for in the normalized text rather than the original.
        let isNormalized: Bool
    }

    enum Part {
        case text([UInt8])
        case token(Int32)
    }

    let tokens: [Token]
    private let original: PrefixMatcher
    private let normalized: PrefixMatcher
    private let byContent: [[UInt8]: Token]

    /// - Parameter findsSpecial: whether special tokens are found as well, before the text is normalized.
    init(_ tokens: [Token], findsSpecial: Bool = false) {
        self.tokens = tokens
        let findable = tokens.filter { (findsSpecial || !$0.isSpecial) && !$0.content.isEmpty }
        original = PrefixMatcher(findable.filter { !$0.isNormalized || $0.isSpecial }.map(\.content))
        normalized = PrefixMatcher(findable.filter { $0.isNormalized && !$0.isSpecial }.map(\.content))
        byContent = Dictionary(findable.map { ($0.content, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Cuts a text at the tokens in it, the leftmost and longest first.
    func split(_ text: [UInt8], isNormalized: Bool) -> [Part] {
        let matcher = isNormalized ? normalized : original
        var parts: [Part] = []
        var start = 0
        text.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return }
            var position = 0
            while position < bytes.count {
                guard let length = matcher.match(base + position, bytes.count - position),
                    let token = byContent[Array(bytes[position..<position + length])],
                    !token.isSingleWord || Self.isWord(bytes, position..<position + length)
                else {
                    position += 1
                    continue
                }
                var end = position + length
                var begin = position
                if token.stripsLeft {
                    while begin > start, Self.isSpace(bytes[begin - 1]) { begin -= 1 }
                }
                if token.stripsRight {
                    while end < bytes.count, Self.isSpace(bytes[end]) { end += 1 }
                }
                if begin > start { parts.append(.text(Array(bytes[start..<begin]))) }
                parts.append(.token(token.id))
                start = end
                position = end
            }
            if start < bytes.count { parts.append(.text(Array(bytes[start...]))) }
        }
        return parts
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    /// Whether no letter, digit or underscore touches the range.
    private static func isWord(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        func isPart(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x80...: true
            default: false
            }
        }
        return !(range.lowerBound > 0 && isPart(bytes[range.lowerBound - 1]))
            && !(range.upperBound < bytes.count && isPart(bytes[range.upperBound]))
    }
}
