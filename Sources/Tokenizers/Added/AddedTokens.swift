/// Tokens that were added to a vocabulary. Those that are not special are found in text before anything else; special ones
/// (BOS, end of turn, …) only in what a chat template wrote.
struct AddedTokens: Sendable {
    struct Token: Sendable, Equatable {
        var id: Int32
        var content: [UInt8]
        var isSpecial = false
        /// White space to the left (right) belongs to the token.
        var stripsLeft = false
        var stripsRight = false
        /// Found only where no letter, digit or underscore touches it.
        var isSingleWord = false
        /// Whether it is looked for in the normalized text rather than in the original, in its own normalized form.
        var isNormalized = false

        /// Whether it is the same token, whatever its id.
        func says(the other: Self) -> Bool {
            var other = other
            other.id = id
            return self == other
        }

        /// Whether GGUF can say everything about it.
        var isPlain: Bool { !stripsLeft && !stripsRight && !isSingleWord && !isNormalized }
    }

    enum Part: Equatable {
        case text([UInt8])
        case token(Int32)
    }

    /// Which of several tokens is taken where they overlap.
    enum Precedence: Sendable {
        /// The leftmost, of those the longest: `tokenizers`.
        case leftmost
        /// The longest anywhere in the text: llama.cpp.
        case longest
    }

    /// Ids are below this: more than any vocabulary has.
    static let largestID = 1 << 24

    /// In the order they were added.
    let tokens: [Token]
    let precedence: Precedence
    private let original: Finder
    private let normalized: Finder

    /// - Parameter normalizing: what the tokenizer does to text, applied to tokens that are looked for in normalized text.
    init(
        _ tokens: [Token], precedence: Precedence = .leftmost, normalizing: ([UInt8]) -> [UInt8] = { $0 }
    ) {
        self.tokens = tokens
        self.precedence = precedence
        original = Finder(tokens.filter { !$0.isNormalized }.map { ($0.content, $0) })
        normalized = Finder(tokens.filter(\.isNormalized).map { (normalizing($0.content), $0) })
    }

    /// Ids that text never becomes and that decode to nothing.
    var specialIDs: Set<Int32> { Set(tokens.filter(\.isSpecial).map(\.id)) }

    /// Cuts a text at the tokens in it.
    /// - Parameters:
    ///   - isNormalized: which tokens are looked for.
    ///   - findsSpecial: whether special tokens are found as well; where not, what they spell stays text.
    func split(_ text: [UInt8], isNormalized: Bool, findsSpecial: Bool) -> [Part] {
        let finder = isNormalized ? normalized : original
        guard !text.isEmpty, findsSpecial ? !finder.isEmpty : finder.hasOrdinary else {
            return text.isEmpty ? [] : [.text(text)]
        }
        switch precedence {
        case .leftmost: return finder.leftmost(text, findsSpecial: findsSpecial)
        case .longest: return finder.longest(text, findsSpecial: findsSpecial)
        }
    }
}

extension AddedTokens {
    /// Finds tokens in a text by what spells them.
    private struct Finder: Sendable {
        private let matcher: PrefixMatcher
        private let byPattern: [[UInt8]: Token]
        /// The longest first.
        private let patterns: [[UInt8]]

        /// Whether any token is not special.
        let hasOrdinary: Bool

        var isEmpty: Bool { patterns.isEmpty }

        init(_ entries: [(pattern: [UInt8], token: Token)]) {
            byPattern = Dictionary(entries.filter { !$0.pattern.isEmpty }, uniquingKeysWith: { first, _ in first })
            patterns = byPattern.keys.sorted {
                $0.count == $1.count ? $0.lexicographicallyPrecedes($1) : $0.count > $1.count
            }
            matcher = PrefixMatcher(patterns)
            hasOrdinary = byPattern.values.contains { !$0.isSpecial }
        }

        func leftmost(_ text: [UInt8], findsSpecial: Bool) -> [Part] {
            var parts: [Part] = []
            var start = 0
            text.withUnsafeBufferPointer { bytes in
                guard let base = bytes.baseAddress else { return }
                var position = 0
                while position < bytes.count {
                    guard let length = matcher.match(base + position, bytes.count - position),
                        let token = byPattern[Array(bytes[position..<position + length])]
                    else {
                        position += 1
                        continue
                    }
                    // What a token spells is passed over even where it does not count.
                    let found = position..<position + length
                    position = found.upperBound
                    if token.isSpecial && !findsSpecial { continue }
                    if token.isSingleWord && WordEdges.touches(found, in: bytes) { continue }
                    let begin =
                        token.stripsLeft
                        ? max(start, WordEdges.spaces(before: found.lowerBound, in: bytes)) : found.lowerBound
                    let end =
                        token.stripsRight ? WordEdges.spaces(after: found.upperBound, in: bytes) : found.upperBound
                    if begin > start { parts.append(.text(Array(bytes[start..<begin]))) }
                    parts.append(.token(token.id))
                    start = end
                }
                if start < bytes.count { parts.append(.text(Array(bytes[start...]))) }
            }
            return parts
        }

        func longest(_ text: [UInt8], findsSpecial: Bool) -> [Part] {
            var parts: [Part] = [.text(text)]
            // Patterns that are nowhere in the text are most of them: one pass says which are there at all.
            let present = Set(matches(in: text))
            for pattern in patterns where present.contains(pattern) {
                guard let token = byPattern[pattern], findsSpecial || !token.isSpecial else { continue }
                parts = parts.flatMap { part -> [Part] in
                    guard case .text(let text) = part else { return [part] }
                    return Self.cut(text, at: pattern, token)
                }
            }
            return parts
        }

        /// Every pattern that begins somewhere in the text, shorter ones at the same place included.
        private func matches(in text: [UInt8]) -> [[UInt8]] {
            var found: Set<[UInt8]> = []
            text.withUnsafeBufferPointer { bytes in
                guard let base = bytes.baseAddress else { return }
                for position in bytes.indices {
                    matcher.forEachMatch(base + position, bytes.count - position) { length in
                        found.insert(Array(bytes[position..<position + length]))
                    }
                }
            }
            return Array(found)
        }

        private static func cut(_ text: [UInt8], at pattern: [UInt8], _ token: Token) -> [Part] {
            var parts: [Part] = []
            var start = 0
            var position = 0
            while position + pattern.count <= text.count {
                guard text[position] == pattern[0], text[position...].starts(with: pattern) else {
                    position += 1
                    continue
                }
                var (begin, end) = (position, position + pattern.count)
                if token.stripsLeft { while begin > start, isSpace(text[begin - 1]) { begin -= 1 } }
                if token.stripsRight { while end < text.count, isSpace(text[end]) { end += 1 } }
                if begin > start { parts.append(.text(Array(text[start..<begin]))) }
                parts.append(.token(token.id))
                (start, position) = (end, end)
            }
            if start < text.count { parts.append(.text(Array(text[start...]))) }
            return parts
        }

        /// C's `isspace`, as llama.cpp strips.
        private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    }
}
