/// A regular expression that cuts text, as `tokenizer.json` writes it: Oniguruma's syntax as far as tokenizers use it.
///
/// Known are alternatives, groups `(?:…)` and `(?i:…)`, looking ahead `(?=…)` and `(?!…)`, sets with ranges, sets within
/// sets (`[\p{L}&&[^\p{Han}]]`) and categories and scripts of Unicode (`\p{L}`, `\s`), the repetitions `* + ? {n,m}`, lazy or
/// possessive, `$` and `\b`. Others are refused, by name.
/// Scalars are matched one by one, whatever they combine to.
struct SplitExpression: Sendable, Equatable {
    private let program: SplitProgram

    init(_ text: String) throws(SplitExpressionError) {
        var parser = SplitExpressionParser(text)
        program = try parser.program()
    }

    /// The expression of a plain text.
    static func spelled(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if #"\.[](){}*+?|^$"#.unicodeScalars.contains(scalar) { result += "\\" }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    /// However they are spelled.
    static func == (a: SplitExpression, b: SplitExpression) -> Bool { a.program == b.program }

    /// The text cut at matches: byte ranges in order, and whether each is a match.
    func pieces(of bytes: [UInt8]) -> [(bytes: Range<Int>, isMatch: Bool)] {
        let text = ScalarText(bytes)
        var matcher = SplitMatcher(program, text)
        var result: [(Range<Int>, Bool)] = []
        var from = 0
        var position = 0
        while position < text.count {
            let found = matcher.end(from: position)
            guard let end = found, end > position else {
                // A match of nothing cuts too.
                if found != nil, position > from {
                    result.append((text.offsets[from]..<text.offsets[position], false))
                    from = position
                }
                position += 1
                continue
            }
            if position > from { result.append((text.offsets[from]..<text.offsets[position], false)) }
            result.append((text.offsets[position]..<text.offsets[end], true))
            from = end
            position = end
        }
        if from < text.count { result.append((text.offsets[from]..<text.offsets[text.count], false)) }
        return result
    }
}

/// Why an expression cannot be used.
struct SplitExpressionError: Error {
    /// Number of the scalar where it stands, from 0.
    let position: Int
    let problem: String
}

/// What becomes of the pieces of a split: `behavior` and `invert` of `tokenizers`' Split.
struct SplitBehavior: Sendable, Equatable {
    enum Kind: String, Sendable, CaseIterable {
        case isolated = "Isolated"
        case removed = "Removed"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    var kind: Kind
    /// Whether what is between the matches counts as matched.
    var isInverted = false

    static let isolated = SplitBehavior(kind: .isolated)

    /// The words that the pieces make.
    func words(_ pieces: [(bytes: Range<Int>, isMatch: Bool)]) -> [Range<Int>] {
        var words: [Range<Int>] = []
        var wasMatch: Bool?
        // A word that is merged with the next is merged with the previous one from behind.
        for piece in kind == .mergedWithNext ? pieces.reversed() : pieces {
            let isMatch = piece.isMatch != isInverted
            let joins =
                switch kind {
                case .isolated: false
                case .removed: false
                case .mergedWithPrevious, .mergedWithNext: isMatch && wasMatch == false
                case .contiguous: isMatch == wasMatch
                }
            if joins, let last = words.last {
                words[words.count - 1] =
                    min(last.lowerBound, piece.bytes.lowerBound)..<max(last.upperBound, piece.bytes.upperBound)
            } else if kind != .removed || !isMatch {
                words.append(piece.bytes)
            }
            wasMatch = isMatch
        }
        return kind == .mergedWithNext ? words.reversed() : words
    }
}
