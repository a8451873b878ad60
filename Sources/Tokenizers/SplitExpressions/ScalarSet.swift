/// A set of Unicode scalars, as a class of a regular expression describes it.
struct ScalarSet: Sendable, Equatable {
    /// General categories, a bit each, and two more properties.
    struct Properties: OptionSet, Sendable, Hashable {
        let rawValue: UInt64

        /// `\s`: White_Space.
        static let whiteSpace = Properties(rawValue: 1 << 62)
        /// `\w`: what is alphabetic, a mark, a decimal number or joins words.
        static let word = Properties(rawValue: 1 << 61)

        static func category(_ category: Unicode.GeneralCategory) -> Properties {
            Properties(rawValue: 1 << UInt64(ScalarSet.number(category)))
        }

        static func categories(_ categories: [Unicode.GeneralCategory]) -> Properties {
            categories.reduce(into: []) { $0.formUnion(.category($1)) }
        }

        /// Of one scalar.
        init(of scalar: Unicode.Scalar) {
            let known = scalar.properties
            let category = known.generalCategory
            var value: Properties = .category(category)
            if known.isWhitespace { value.formUnion(.whiteSpace) }
            switch category {
            case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
                value.formUnion(.word)
            default: if known.isAlphabetic { value.formUnion(.word) }
            }
            self = value
        }

        init(rawValue: UInt64) { self.rawValue = rawValue }

        /// By the name in `\p{…}`; nil for one that is not a category.
        init?(name: String) {
            switch name {
            case "L", "Letter":
                self = .categories([
                    .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
                ])
            case "Lu": self = .category(.uppercaseLetter)
            case "Ll": self = .category(.lowercaseLetter)
            case "Lt": self = .category(.titlecaseLetter)
            case "Lm": self = .category(.modifierLetter)
            case "Lo": self = .category(.otherLetter)
            case "M", "Mark": self = .categories([.nonspacingMark, .spacingMark, .enclosingMark])
            case "Mn": self = .category(.nonspacingMark)
            case "Mc": self = .category(.spacingMark)
            case "Me": self = .category(.enclosingMark)
            case "N", "Number": self = .categories([.decimalNumber, .letterNumber, .otherNumber])
            case "Nd": self = .category(.decimalNumber)
            case "Nl": self = .category(.letterNumber)
            case "No": self = .category(.otherNumber)
            case "P", "Punctuation":
                self = .categories([
                    .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
                    .finalPunctuation, .otherPunctuation,
                ])
            case "Pc": self = .category(.connectorPunctuation)
            case "Pd": self = .category(.dashPunctuation)
            case "Ps": self = .category(.openPunctuation)
            case "Pe": self = .category(.closePunctuation)
            case "Pi": self = .category(.initialPunctuation)
            case "Pf": self = .category(.finalPunctuation)
            case "Po": self = .category(.otherPunctuation)
            case "S", "Symbol": self = .categories([.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol])
            case "Sm": self = .category(.mathSymbol)
            case "Sc": self = .category(.currencySymbol)
            case "Sk": self = .category(.modifierSymbol)
            case "So": self = .category(.otherSymbol)
            case "Z", "Separator": self = .categories([.spaceSeparator, .lineSeparator, .paragraphSeparator])
            case "Zs": self = .category(.spaceSeparator)
            case "Zl": self = .category(.lineSeparator)
            case "Zp": self = .category(.paragraphSeparator)
            case "C", "Other": self = .categories([.control, .format, .surrogate, .privateUse, .unassigned])
            case "Cc": self = .category(.control)
            case "Cf": self = .category(.format)
            default: return nil
            }
        }
    }

    /// Any of these properties is enough.
    private var properties: Properties = []
    /// What has none of these properties counts as well: `\P{…}`, `\S` within a class, one entry each.
    private var complements: [Properties] = []
    private var ranges: [ClosedRange<UInt32>] = []
    /// Sets of which any counts as well, and sets of which all must count: `[a[bc]]`, `[a&&[^b]]`.
    private var unions: [ScalarSet] = []
    private var intersections: [ScalarSet] = []
    var isNegated = false
    /// The answer for each ASCII character, a bit each.
    private var ascii: (UInt64, UInt64) = (0, 0)

    static func == (a: ScalarSet, b: ScalarSet) -> Bool {
        a.properties == b.properties && a.complements == b.complements && a.ranges == b.ranges
            && a.unions == b.unions && a.intersections == b.intersections && a.isNegated == b.isNegated
    }

    mutating func insert(_ more: Properties) { properties.formUnion(more) }
    mutating func insertComplement(of less: Properties) { complements.append(less) }
    mutating func insert(_ range: ClosedRange<UInt32>) { ranges.append(range) }
    mutating func insert(_ set: ScalarSet) { unions.append(set) }
    mutating func intersect(with set: ScalarSet) { intersections.append(set) }

    /// Whether `foldCase` makes of it what Oniguruma does: sets within it, scripts and single cases of letters would be others.
    var canFoldCase: Bool {
        let cased = Properties.categories([.uppercaseLetter, .lowercaseLetter, .titlecaseLetter])
        return unions.isEmpty && intersections.isEmpty
            && ([properties] + complements).allSatisfy {
                $0.isDisjoint(with: cased) || $0.isSuperset(of: cased)
            }
    }

    /// Letters of ASCII bring their other case along, and the two characters that fold to one: the long s and the sign of Kelvin.
    mutating func foldCase() {
        for range in ranges {
            for letter in UInt32(0x61)...0x7A where range.contains(letter) || range.contains(letter - 32) {
                ranges.append(letter...letter)
                ranges.append(letter - 32...letter - 32)
                if letter == 0x73 { ranges.append(0x17F...0x17F) }
                if letter == 0x6B { ranges.append(0x212A...0x212A) }
            }
        }
    }

    /// Looks the ASCII characters up, once.
    mutating func prepare() {
        ascii = (0, 0)
        for code in UInt32(0)..<128 {
            guard let scalar = Unicode.Scalar(code), contains(code, .init(of: scalar)) else { continue }
            if code < 64 { ascii.0 |= 1 << UInt64(code) } else { ascii.1 |= 1 << UInt64(code - 64) }
        }
    }

    func containsASCII(_ code: UInt32) -> Bool {
        (code < 64 ? ascii.0 >> UInt64(code) : ascii.1 >> UInt64(code - 64)) & 1 == 1
    }

    func contains(_ code: UInt32, _ of: Properties) -> Bool {
        var isIn = !properties.isDisjoint(with: of)
        if !isIn { isIn = ranges.contains { $0.contains(code) } }
        if !isIn { isIn = complements.contains { $0.isDisjoint(with: of) } }
        if !isIn { isIn = unions.contains { $0.contains(code, of) } }
        if isIn { isIn = intersections.allSatisfy { $0.contains(code, of) } }
        return isIn != isNegated
    }

    fileprivate static func number(_ category: Unicode.GeneralCategory) -> Int {
        switch category {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        case .unassigned: 29
        @unknown default: 30
        }
    }
}
