/// Turns the text of an expression into a program.
struct SplitExpressionParser {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var result = SplitProgram()
    private var depth = 0

    /// A part of an expression, before its place in the program is known.
    private indirect enum Node {
        case set(Int)
        case sequence([Node])
        case alternatives([Node])
        case repeated(Node, least: Int, most: Int?, isLazy: Bool)
        case all(set: Int, least: Int, most: Int)
        case look(Node, isThere: Bool)
        case lineEnd
        case wordEdge

        /// Whether it can match nothing, so that repeating it without end would not end.
        var canBeEmpty: Bool {
            switch self {
            case .set: false
            case .sequence(let parts): parts.allSatisfy(\.canBeEmpty)
            case .alternatives(let parts): parts.contains(where: \.canBeEmpty)
            case .repeated(let part, let least, _, _): least == 0 || part.canBeEmpty
            case .all(_, let least, _): least == 0
            case .look, .lineEnd, .wordEdge: true
            }
        }
    }

    private static let mostSteps = 8192
    private static let mostRepetitions = 1000
    private static let deepest = 32

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func program() throws(SplitExpressionError) -> SplitProgram {
        let node = try alternatives(foldsCase: false)
        guard position == scalars.count else { throw unknown("a closing bracket without its opening one") }
        for alternative in Self.members(node) {
            result.alternatives.append(result.steps.count)
            try emit(alternative)
            result.steps.append(.end)
        }
        for index in result.sets.indices { result.sets[index].prepare() }
        return result
    }

    private static func members(_ node: Node) -> [Node] {
        if case .alternatives(let parts) = node { return parts }
        return [node]
    }

    private func unknown(_ what: String, at place: Int? = nil) -> SplitExpressionError {
        SplitExpressionError(position: place ?? position, problem: what)
    }

    private func next(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        return position + wanted.count <= scalars.count
            && Array(scalars[position..<position + wanted.count]) == wanted
    }

    private mutating func take(_ text: String) -> Bool {
        guard next(text) else { return false }
        position += text.unicodeScalars.count
        return true
    }

    // MARK: Reading

    private mutating func alternatives(foldsCase: Bool) throws(SplitExpressionError) -> Node {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.deepest else { throw unknown("groups within groups, more than \(Self.deepest) deep") }
        var parts = [try sequence(foldsCase: foldsCase)]
        while take("|") { parts.append(try sequence(foldsCase: foldsCase)) }
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence(foldsCase: Bool) throws(SplitExpressionError) -> Node {
        var parts: [Node] = []
        while position < scalars.count, !next("|"), !next(")") {
            let start = position
            let part = try single(foldsCase: foldsCase)
            parts.append(try repetition(part, from: start))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func single(foldsCase: Bool) throws(SplitExpressionError) -> Node {
        if next("(") { return try group(foldsCase: foldsCase) }
        if take("$") { return .lineEnd }
        if take("\\b") { return .wordEdge }
        let start = position
        var set = ScalarSet()
        if take("[") {
            set = try bracket()
        } else if take(".") {
            set.insert(0x0A...0x0A)
            set.isNegated = true
        } else if next("\\") {
            try escape(into: &set)
        } else if ["*", "+", "?", "{", "^"].contains(where: next) {
            throw unknown("\"\(scalars[position])\" in this place")
        } else {
            set.insert(scalars[position].value...scalars[position].value)
            position += 1
        }
        if foldsCase {
            guard set.canFoldCase else {
                throw unknown("a set within a set, a script or a case of letters, in any case", at: start)
            }
            set.foldCase()
        }
        return .set(number(of: set))
    }

    private mutating func number(of set: ScalarSet) -> Int {
        if let known = result.sets.firstIndex(of: set) { return known }
        result.sets.append(set)
        return result.sets.count - 1
    }

    private mutating func group(foldsCase: Bool) throws(SplitExpressionError) -> Node {
        let start = position
        var folds = foldsCase
        var look: Bool?
        if take("(?:") {
        } else if take("(?i:") {
            folds = true
        } else if take("(?=") {
            look = true
        } else if take("(?!") {
            look = false
        } else if next("(?") {
            throw unknown("a group of a kind that is not known here")
        } else {
            position += 1
        }
        let inside = try alternatives(foldsCase: folds)
        guard take(")") else { throw unknown("a group that does not end", at: start) }
        return look.map { .look(inside, isThere: $0) } ?? inside
    }

    private mutating func repetition(_ node: Node, from start: Int) throws(SplitExpressionError) -> Node {
        var least = 0
        var most: Int?
        let isCounted = next("{")
        if take("*") {
        } else if take("+") {
            least = 1
        } else if take("?") {
            most = 1
        } else if take("{") {
            (least, most) = try counts()
        } else {
            return node
        }
        if case .look = node { throw unknown("a repetition of something that takes no characters", at: start) }
        let place = position
        if !isCounted, take("+") {
            guard case .set(let set) = node else { throw unknown("a possessive repetition of a group", at: place) }
            return .all(set: set, least: least, most: most ?? Int.max)
        }
        let isLazy = take("?")
        guard !["*", "+", "?", "{"].contains(where: next) else { throw unknown("a repetition of a repetition") }
        guard most != nil || !node.canBeEmpty else {
            throw unknown("an endless repetition of what may be empty", at: start)
        }
        return .repeated(node, least: least, most: most, isLazy: isLazy)
    }

    /// "n}", "n,}", "n,m}" or ",m}".
    private mutating func counts() throws(SplitExpressionError) -> (Int, Int?) {
        func number() throws(SplitExpressionError) -> Int? {
            let start = position
            while position < scalars.count, ("0"..."9").contains(scalars[position]) { position += 1 }
            guard position > start else { return nil }
            let digits = String(String.UnicodeScalarView(scalars[start..<position]))
            guard let value = Int(digits), value <= Self.mostRepetitions else {
                throw unknown("more than \(Self.mostRepetitions) repetitions", at: start)
            }
            return value
        }
        let start = position
        let least = try number()
        var most = least
        if take(",") { most = try number() }
        guard take("}"), least != nil || most != nil, most ?? Int.max >= least ?? 0 else {
            throw unknown("a repetition that is none", at: start)
        }
        return (least ?? 0, most)
    }

    // MARK: Sets

    /// "[…]", after its first character: members of any kind together; between "&&", what all of them have.
    private mutating func bracket() throws(SplitExpressionError) -> ScalarSet {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.deepest else { throw unknown("sets within sets, more than \(Self.deepest) deep") }
        let start = position - 1
        let isNegated = take("^")
        var terms = [try term(of: start, isFirst: true)]
        while take("&&") { terms.append(try term(of: start, isFirst: false)) }
        position += 1
        var set = terms[0]
        for other in terms.dropFirst() { set.intersect(with: other) }
        set.isNegated = isNegated
        return set
    }

    /// The members up to "&&" or the end of the set that began at `start`.
    private mutating func term(of start: Int, isFirst: Bool) throws(SplitExpressionError) -> ScalarSet {
        var (set, isFirst) = (ScalarSet(), isFirst)
        let begin = position
        while isFirst || !next("]") {
            guard position < scalars.count else { throw unknown("a set that does not end", at: start) }
            if next("&&") { break }
            isFirst = false
            if next("[:") { throw unknown("a class in the way of POSIX") }
            if take("[") {
                set.insert(try bracket())
                continue
            }
            guard let low = try member(into: &set) else { continue }
            // A hyphen before the end stands for itself.
            guard next("-"), !next("-&&"), position + 1 < scalars.count, scalars[position + 1] != "]" else {
                set.insert(low...low)
                continue
            }
            position += 1
            guard !next("[") else { throw unknown("a range to a set") }
            let place = position
            guard let high = try member(into: &set), high >= low else {
                throw unknown("a range whose end is before its start", at: place)
            }
            set.insert(low...high)
        }
        guard position > begin else { throw unknown("\"&&\" without members on both sides") }
        return set
    }

    /// A character of a set; nil where it was a property, which is then in the set.
    private mutating func member(into set: inout ScalarSet) throws(SplitExpressionError) -> UInt32? {
        if next("\\") {
            if let code = try character() { return code }
            try escape(into: &set)
            return nil
        }
        defer { position += 1 }
        return scalars[position].value
    }

    /// The character that an escape stands for; nil, and nothing taken, where it stands for several.
    private mutating func character() throws(SplitExpressionError) -> UInt32? {
        guard position + 1 < scalars.count else { throw unknown("a backslash at the end") }
        let letter = scalars[position + 1]
        let code: UInt32
        switch letter {
        case "n": code = 0x0A
        case "r": code = 0x0D
        case "t": code = 0x09
        case "f": code = 0x0C
        case "v": code = 0x0B
        case "a": code = 0x07
        case "e": code = 0x1B
        case "u", "x": return try hexadecimal()
        case "0"..."9", "A"..."Z", "a"..."z": return nil
        default: code = letter.value
        }
        position += 2
        return code
    }

    /// "\uHHHH", "\xHH" or "\x{H…}".
    private mutating func hexadecimal() throws(SplitExpressionError) -> UInt32 {
        let start = position
        let isLong = next("\\x{")
        let width = next("\\u") ? 4 : 2
        position += isLong ? 3 : 2
        var digits = ""
        while position < scalars.count, isLong ? !next("}") : digits.count < width {
            digits.unicodeScalars.append(scalars[position])
            position += 1
        }
        guard let code = UInt32(digits, radix: 16), Unicode.Scalar(code) != nil, !isLong || take("}") else {
            throw unknown("a character that is none", at: start)
        }
        return code
    }

    /// An escape that stands for a character or for a property.
    private mutating func escape(into set: inout ScalarSet) throws(SplitExpressionError) {
        if let code = try character() {
            set.insert(code...code)
            return
        }
        let start = position
        let letter = scalars[position + 1]
        position += 2
        switch letter {
        case "s": set.insert(.whiteSpace)
        case "S": set.insertComplement(of: .whiteSpace)
        case "d": set.insert(.category(.decimalNumber))
        case "D": set.insertComplement(of: .category(.decimalNumber))
        case "w": set.insert(.word)
        case "W": set.insertComplement(of: .word)
        case "p", "P":
            guard take("{") else { throw unknown("a property without its name", at: start) }
            var isComplement = letter == "P"
            if take("^") { isComplement.toggle() }
            var name = ""
            while position < scalars.count, !next("}") {
                name.unicodeScalars.append(scalars[position])
                position += 1
            }
            guard take("}") else { throw unknown("the property \"\(name)\"", at: start) }
            if let properties = ScalarSet.Properties(name: name) {
                if isComplement { set.insertComplement(of: properties) } else { set.insert(properties) }
            } else if var script = ScalarSet(script: name) {
                script.isNegated = isComplement
                set.insert(script)
            } else {
                throw unknown("the property \"\(name)\"", at: start)
            }
        default: throw unknown("\"\\\(letter)\"", at: start)
        }
    }

    // MARK: Writing

    private mutating func append(_ step: SplitProgram.Step) throws(SplitExpressionError) {
        guard result.steps.count < Self.mostSteps else { throw unknown("an expression of this length", at: 0) }
        result.steps.append(step)
    }

    /// A step that goes on here, and later elsewhere, or the other way round.
    private mutating func appendBranch() throws(SplitExpressionError) -> Int {
        try append(.either(0, 0, number: result.branches))
        result.branches += 1
        return result.steps.count - 1
    }

    private mutating func point(_ branch: Int, to first: Int, _ second: Int, isLazy: Bool = false) {
        guard case .either(_, _, let number) = result.steps[branch] else { return }
        result.steps[branch] = isLazy ? .either(second, first, number: number) : .either(first, second, number: number)
    }

    private mutating func emit(_ node: Node) throws(SplitExpressionError) {
        switch node {
        case .set(let set): try append(.scalar(set: set))
        case .all(let set, let least, let most): try append(.all(set: set, least: least, most: most))
        case .lineEnd: try append(.lineEnd)
        case .wordEdge: try append(.wordEdge)
        case .sequence(let parts): for part in parts { try emit(part) }
        case .alternatives(let parts): try emit(alternatives: parts)
        case .look(let inside, let isThere):
            let start = result.steps.count
            try append(.end)
            try emit(inside)
            try append(.end)
            result.steps[start] = .look(isThere: isThere, then: result.steps.count)
        case .repeated(let part, let least, let most, let isLazy):
            for _ in 0..<least { try emit(part) }
            guard let most else {
                let branch = try appendBranch()
                try emit(part)
                try append(.jump(branch))
                point(branch, to: branch + 1, result.steps.count, isLazy: isLazy)
                return
            }
            var branches: [Int] = []
            for _ in 0..<most - least {
                branches.append(try appendBranch())
                try emit(part)
            }
            for branch in branches { point(branch, to: branch + 1, result.steps.count, isLazy: isLazy) }
        }
    }

    private mutating func emit(alternatives parts: [Node]) throws(SplitExpressionError) {
        var ends: [Int] = []
        for (index, part) in parts.enumerated() {
            guard index < parts.count - 1 else {
                try emit(part)
                break
            }
            let branch = try appendBranch()
            try emit(part)
            ends.append(result.steps.count)
            try append(.jump(0))
            point(branch, to: branch + 1, result.steps.count)
        }
        for end in ends { result.steps[end] = .jump(result.steps.count) }
    }
}
