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
            patterns = byPattern.keys.sorted(by: Self.precedes)
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

        /// As llama.cpp: one pattern after the other, the longest first, is cut out of what the ones before it have left. All places
        /// of all patterns are found in one pass, so that many patterns cost no more than they are found.
        func longest(_ text: [UInt8], findsSpecial: Bool) -> [Part] {
            var taken = [Bool](repeating: false, count: text.count)
            var cuts: [(range: Range<Int>, id: Int32)] = []
            for place in places(in: text) {
                guard let token = byPattern[patterns[place.pattern]], findsSpecial || !token.isSpecial else { continue }
                var range = place.start..<place.start + patterns[place.pattern].count
                if range.contains(where: { taken[$0] }) { continue }
                if token.stripsLeft {
                    while range.lowerBound > 0, !taken[range.lowerBound - 1], Self.isSpace(text[range.lowerBound - 1]) {
                        range = range.lowerBound - 1..<range.upperBound
                    }
                }
                if token.stripsRight {
                    while range.upperBound < text.count, !taken[range.upperBound], Self.isSpace(text[range.upperBound])
                    {
                        range = range.lowerBound..<range.upperBound + 1
                    }
                }
                for index in range { taken[index] = true }
                cuts.append((range, token.id))
            }
            var parts: [Part] = []
            var start = 0
            for cut in cuts.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
                if cut.range.lowerBound > start { parts.append(.text(Array(text[start..<cut.range.lowerBound]))) }
                parts.append(.token(cut.id))
                start = cut.range.upperBound
            }
            if start < text.count { parts.append(.text(Array(text[start...]))) }
            return parts
        }

        /// Where every pattern is in the text, shorter ones at the same place included: by pattern, from left to right.
        private func places(in text: [UInt8]) -> [(pattern: Int, start: Int)] {
            var numbers: [[UInt8]: Int] = [:]
            var places: [(pattern: Int, start: Int)] = []
            text.withUnsafeBufferPointer { bytes in
                guard let base = bytes.baseAddress else { return }
                for position in bytes.indices {
                    matcher.forEachMatch(base + position, bytes.count - position) { length in
                        let pattern = Array(bytes[position..<position + length])
                        guard let number = numbers[pattern] ?? number(of: pattern) else { return }
                        numbers[pattern] = number
                        places.append((number, position))
                    }
                }
            }
            return places.sorted { ($0.pattern, $0.start) < ($1.pattern, $1.start) }
        }

        /// The place of a pattern in `patterns`.
        private func number(of pattern: [UInt8]) -> Int? {
            var (low, high) = (0, patterns.count)
            while low < high {
                let middle = (low + high) / 2
                if Self.precedes(patterns[middle], pattern) { low = middle + 1 } else { high = middle }
            }
            return low < patterns.count && patterns[low] == pattern ? low : nil
        }

        private static func precedes(_ one: [UInt8], _ other: [UInt8]) -> Bool {
            one.count == other.count ? one.lexicographicallyPrecedes(other) : one.count > other.count
        }

        /// C's `isspace`, as llama.cpp strips.
        private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    }
}
