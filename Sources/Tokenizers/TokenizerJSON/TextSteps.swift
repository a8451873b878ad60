/// One step of a `tokenizer.json` normalizer.
enum NormalizationStep: Sendable, Equatable {
    case nfc
    case prepend([UInt8])
    case replace([UInt8], with: [UInt8])

    /// How many times longer a text can become.
    var growth: Double {
        switch self {
        // Unicode Technical Report 15.
        case .nfc: 3
        case .prepend(let prefix): Double(1 + prefix.count)
        case .replace(let pattern, let content): max(1, Double(content.count) / Double(max(1, pattern.count)))
        }
    }

    func apply(_ text: [UInt8]) -> [UInt8] {
        switch self {
        case .nfc: return CanonicalComposition.compose(text)
        case .prepend(let prefix): return text.isEmpty ? text : prefix + text
        case .replace(let pattern, let content): return Self.replace(pattern, with: content, in: text)
        }
    }

    /// Replaces what is found from left to right (Knuth, Morris and Pratt: no byte of the text is looked at again for each byte of a
    /// long pattern).
    static func replace(_ pattern: [UInt8], with content: [UInt8], in text: [UInt8]) -> [UInt8] {
        guard !pattern.isEmpty else { return text }
        // How much of the pattern's start each part of it ends with.
        var borders = [0]
        borders.reserveCapacity(pattern.count)
        var length = 0
        for byte in pattern.dropFirst() {
            while length > 0, pattern[length] != byte { length = borders[length - 1] }
            if pattern[length] == byte { length += 1 }
            borders.append(length)
        }
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var found = 0
        for byte in text {
            while found > 0, pattern[found] != byte { found = borders[found - 1] }
            if pattern[found] == byte { found += 1 }
            result.append(byte)
            if found == pattern.count {
                result.removeLast(found)
                result += content
                found = 0
            }
        }
        return result
    }
}

/// One step of a `tokenizer.json` pre-tokenizer: cuts words into smaller ones.
enum PreTokenizationStep: Sendable, Equatable {
    enum Prepending: String, Sendable {
        case always, first, never
    }

    case split(SplitPattern)
    /// Cuts at the matches of an expression of the file's own.
    case expression(SplitExpression, SplitBehavior)
    /// Every digit a word (or every run of digits).
    case digits(individual: Bool)
    /// Runs of punctuation and of some symbols; everything else stays together. llama.cpp's own.
    case punctuation
    /// Every three ASCII digits in a row are a word; what is between stays together.
    case digitTriples
    /// A space before each word that has none.
    case prefixSpace
    /// Spaces become U+2581; with `splits`, each starts a word.
    case metaspace(Prepending, splits: Bool)

    func apply(_ words: [[UInt8]], isStartOfText: Bool) -> [[UInt8]] {
        switch self {
        case .split(let pattern): return words.flatMap { Self.split($0, pattern) }
        case .expression(let expression, let behavior):
            return words.flatMap { word in
                behavior.words(expression.pieces(of: word)).map { Array(word[$0]) }
            }
        case .digits(let individual): return words.flatMap { Self.digits($0, individual: individual) }
        case .punctuation: return words.flatMap(Self.punctuation)
        case .digitTriples: return words.flatMap(Self.digitTriples)
        case .prefixSpace: return words.map { $0.first == 0x20 ? $0 : [0x20] + $0 }
        case .metaspace(let prepending, let splits):
            return words.enumerated().flatMap { index, word -> [[UInt8]] in
                var text = NormalizationStep.replace([0x20], with: spaceSymbol, in: word)
                let mayPrepend = prepending == .always || (prepending == .first && isStartOfText && index == 0)
                if mayPrepend, !text.starts(with: spaceSymbol) { text = spaceSymbol + text }
                return splits ? Self.splitBeforeSpaces(text) : [text]
            }
        }
    }

    private static func split(_ word: [UInt8], _ pattern: SplitPattern) -> [[UInt8]] {
        word.withUnsafeBufferPointer { bytes in
            let text = ClassifiedText(bytes)
            var words: [[UInt8]] = []
            var start = 0
            while start < text.count {
                let end = pattern.endOfWord(text, from: start)
                words.append(Array(bytes[Int(text.offsets[start])..<Int(text.offsets[end])]))
                start = end
            }
            return words
        }
    }

    private static func digits(_ word: [UInt8], individual: Bool) -> [[UInt8]] {
        word.withUnsafeBufferPointer { bytes in
            let text = ClassifiedText(bytes)
            var words: [[UInt8]] = []
            var start = 0
            while start < text.count {
                let isNumber = text.kind(start) == .number
                var end = start + 1
                while end < text.count, (text.kind(end) == .number) == isNumber, !(isNumber && individual) { end += 1 }
                words.append(Array(bytes[Int(text.offsets[start])..<Int(text.offsets[end])]))
                start = end
            }
            return words
        }
    }

    private static func punctuation(_ word: [UInt8]) -> [[UInt8]] {
        runs(of: word) { scalar in
            switch scalar {
            case "$", "+", "<", "=", ">", "^", "~", "|": return true
            default: break
            }
            switch scalar.properties.generalCategory {
            case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
                .finalPunctuation, .otherPunctuation:
                return true
            default: return false
            }
        }
    }

    private static func digitTriples(_ word: [UInt8]) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var start = 0
        var position = 0
        func isDigit(_ index: Int) -> Bool { (0x30...0x39).contains(word[index]) }
        while position + 3 <= word.count {
            guard isDigit(position), isDigit(position + 1), isDigit(position + 2) else {
                position += 1
                continue
            }
            if position > start { words.append(Array(word[start..<position])) }
            words.append(Array(word[position..<position + 3]))
            position += 3
            start = position
        }
        if start < word.count { words.append(Array(word[start...])) }
        return words
    }

    /// Runs of characters that have a property, and of those that have it not.
    private static func runs(of word: [UInt8], _ has: (Unicode.Scalar) -> Bool) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var last: Bool?
        for scalar in String(decoding: word, as: UTF8.self).unicodeScalars {
            let kind = has(scalar)
            if kind != last { words.append([]) }
            words[words.count - 1] += Array(UTF8.encode(scalar) ?? .init())
            last = kind
        }
        return words
    }

    private static func splitBeforeSpaces(_ text: [UInt8]) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var start = 0
        var position = 0
        while position < text.count {
            if position > start, text[position] == spaceSymbol[0], text[position...].starts(with: spaceSymbol) {
                words.append(Array(text[start..<position]))
                start = position
            }
            position += 1
        }
        if start < text.count { words.append(Array(text[start...])) }
        return words
    }
}

/// What `tokenizer.json`'s decoder does to a token sequence.
struct TokenDecoding: Sendable, Equatable {
    /// Pieces write bytes in `ByteAlphabet`.
    var isByteLevel = false
    /// `<0x..>` pieces become bytes.
    var hasByteFallback = false
    /// U+2581 becomes a space.
    var replacesSpaceSymbol = false
    /// Spaces removed from the start of the text.
    var strippedSpaces = 0
}
