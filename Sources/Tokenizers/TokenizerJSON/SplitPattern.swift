/// How a text is cut into words before byte-pair merging: the patterns that byte-level vocabularies use, matched by hand
/// in one pass instead of by a regular-expression engine.
enum SplitPattern: Sendable, Equatable {
    /// GPT-2's: contractions, letters, digits, other characters, each with a space before; white space.
    case gpt2
    /// tiktoken's cl100k and its descendants (Llama 3, Qwen): digits in groups of at most this many.
    case cl100k(digits: Int)
    /// tiktoken's o200k (gpt-oss): words break where a capital follows a small letter, and keep their contraction.
    case o200k

    static let gpt2Text = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    static let cl100kText =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    static let o200kText =
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"#
        + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"#
        + #"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// The pattern of this regular expression, if it is one of them, however it spells the contractions.
    init?(expression: String) {
        let text = expression.replacing("'(?i:[sdmt]|ll|ve|re)", with: "(?i:'s|'t|'re|'ve|'m|'ll|'d)")
        switch text {
        case Self.gpt2Text: self = .gpt2
        case Self.cl100kText: self = .cl100k(digits: 3)
        case Self.o200kText: self = .o200k
        case Self.cl100kText.replacing(#"\p{N}{1,3}"#, with: #"\p{N}"#): self = .cl100k(digits: 1)
        default: return nil
        }
    }

    /// The end of the word that starts at `start`; always beyond it.
    func endOfWord(_ text: ClassifiedText, from start: Int) -> Int {
        switch self {
        case .gpt2: Self.gpt2(text, start)
        case .cl100k(let digits): Self.cl100k(text, start, digits: digits)
        case .o200k: Self.o200k(text, start)
        }
    }

    private static func gpt2(_ text: ClassifiedText, _ start: Int) -> Int {
        if let end = contraction(text, start, foldsCase: false) { return end }
        // An optional space, then a run of one class.
        let first = text.code(start) == 0x20 ? start + 1 : start
        let kind = text.kind(first)
        if first < text.count, kind != .space { return text.end(of: kind, from: first) }
        return whitespace(text, start)
    }

    private static func cl100k(_ text: ClassifiedText, _ start: Int, digits: Int) -> Int {
        if let end = contraction(text, start, foldsCase: true) { return end }
        let kind = text.kind(start)
        if kind == .letter { return text.end(of: .letter, from: start) }
        // One character that is no letter, digit or line end may lead a word.
        if kind != .number, !text.isLineEnd(start), text.kind(start + 1) == .letter, start + 1 < text.count {
            return text.end(of: .letter, from: start + 1)
        }
        return digitsSignsOrSpace(text, start, digits: digits, slashes: false)
    }

    /// What the descendants of cl100k have in common after words.
    private static func digitsSignsOrSpace(
        _ text: ClassifiedText, _ start: Int, digits: Int, slashes: Bool
    ) -> Int {
        if text.kind(start) == .number { return min(text.end(of: .number, from: start), start + digits) }
        let first = text.code(start) == 0x20 ? start + 1 : start
        if first < text.count, text.kind(first) == .other {
            var end = text.end(of: .other, from: first)
            while end < text.count, text.isLineEnd(end) || slashes && text.code(end) == 0x2F { end += 1 }
            return end
        }
        // White space up to its last line end.
        let end = text.end(of: .space, from: start)
        var last = end
        while last > start, !text.isLineEnd(last - 1) { last -= 1 }
        return last > start ? last : whitespace(text, start)
    }

    private static func o200k(_ text: ClassifiedText, _ start: Int) -> Int {
        // One character that is no letter, digit or line end may lead a word; the expression tries with it first.
        let kind = text.kind(start)
        let canLead = kind != .letter && kind != .number && !text.isLineEnd(start)
        for isMixed in [true, false] {
            for first in canLead ? [start + 1, start] : [start] {
                if let end = isMixed ? mixedWord(text, first) : capitals(text, first) {
                    return contraction(text, end, foldsCase: true) ?? end
                }
            }
        }
        return digitsSignsOrSpace(text, start, digits: 3, slashes: true)
    }

    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`: capitals as long as they go, but for what the small
    /// letters need.
    private static func mixedWord(_ text: ClassifiedText, _ start: Int) -> Int? {
        var small = start
        while text.isCapital(small) { small += 1 }
        while small >= start, !text.isSmall(small) { small -= 1 }
        guard small >= start else { return nil }
        while text.isSmall(small) { small += 1 }
        return small
    }

    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`
    private static func capitals(_ text: ClassifiedText, _ start: Int) -> Int? {
        var end = start
        while text.isCapital(end) { end += 1 }
        guard end > start else { return nil }
        while text.isSmall(end) { end += 1 }
        return end
    }

    /// `\s+(?!\S)|\s+`: a run of white space leaves its last character to the word that follows.
    private static func whitespace(_ text: ClassifiedText, _ start: Int) -> Int {
        let end = text.end(of: .space, from: start)
        return end < text.count && end - start > 1 ? end - 1 : max(end, start + 1)
    }

    private static func contraction(_ text: ClassifiedText, _ start: Int, foldsCase: Bool) -> Int? {
        guard text.code(start) == 0x27 else { return nil }
        func letter(_ index: Int) -> UInt32 {
            let code = text.code(index)
            guard foldsCase else { return code }
            // U+017F, the long s, folds to s.
            return code == 0x17F ? 0x73 : (0x41...0x5A).contains(code) ? code + 32 : code
        }
        switch (letter(start + 1), letter(start + 2)) {
        case (0x73, _), (0x74, _), (0x6D, _), (0x64, _): return start + 2  // s t m d
        case (0x72, 0x65), (0x76, 0x65), (0x6C, 0x6C): return start + 3  // re ve ll
        default: return nil
        }
    }
}

/// A text as Unicode scalars, each with the class that split patterns ask for, and its place in the UTF-8 bytes.
struct ClassifiedText {
    enum Kind: UInt8 {
        case letter, number, space, other
    }

    /// Letters without a case, and marks, count as both.
    private enum LetterCase {
        case none, capital, small, both
    }

    private var codes: [UInt32] = []
    private var kinds: [Kind] = []
    /// Byte offset of each scalar, and the length of the text at the end.
    private(set) var offsets: [Int32] = []

    var count: Int { codes.count }

    init(_ text: UnsafeBufferPointer<UInt8>) {
        codes.reserveCapacity(text.count)
        kinds.reserveCapacity(text.count)
        offsets.reserveCapacity(text.count + 1)
        var position: Int32 = 0
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            codes.append(scalar.value)
            kinds.append(Self.kind(of: scalar))
            offsets.append(position)
            position += Int32(UTF8.width(scalar))
        }
        offsets.append(position)
    }

    func code(_ index: Int) -> UInt32 { index < codes.count ? codes[index] : 0 }
    func kind(_ index: Int) -> Kind { index < kinds.count ? kinds[index] : .other }
    func isLineEnd(_ index: Int) -> Bool { codes[index] == 0x0A || codes[index] == 0x0D }

    func isCapital(_ index: Int) -> Bool { [.capital, .both].contains(letterCase(index)) }
    func isSmall(_ index: Int) -> Bool { [.small, .both].contains(letterCase(index)) }

    /// Looked up when it is asked for: most patterns never do.
    private func letterCase(_ index: Int) -> LetterCase {
        guard index < codes.count else { return .none }
        switch codes[index] {
        case 0x41...0x5A: return .capital
        case 0x61...0x7A: return .small
        case 0..<0x80: return .none
        default: break
        }
        switch Unicode.Scalar(codes[index])?.properties.generalCategory {
        case .uppercaseLetter, .titlecaseLetter: return .capital
        case .lowercaseLetter: return .small
        case .modifierLetter, .otherLetter, .nonspacingMark, .spacingMark, .enclosingMark: return .both
        default: return .none
        }
    }

    /// The end of the run of this class.
    func end(of kind: Kind, from start: Int) -> Int {
        var end = start
        while end < kinds.count, kinds[end] == kind { end += 1 }
        return end
    }

    private static func kind(of scalar: Unicode.Scalar) -> Kind {
        switch scalar.value {
        case 0x41...0x5A, 0x61...0x7A: return .letter
        case 0x30...0x39: return .number
        case 0x09...0x0D, 0x20: return .space
        case 0..<0x80: return .other
        default: break
        }
        if scalar.properties.isWhitespace { return .space }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return .letter
        case .decimalNumber, .letterNumber, .otherNumber: return .number
        default: return .other
        }
    }
}
