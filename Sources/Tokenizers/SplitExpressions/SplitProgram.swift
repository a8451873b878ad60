/// A regular expression as steps of a machine that looks for its longest-standing alternative first, as Perl's and Oniguruma's do.
struct SplitProgram: Sendable, Equatable {
    enum Step: Sendable, Equatable {
        /// The next scalar belongs to set number `set`.
        case scalar(set: Int)
        /// As many scalars of the set as there are, from `least` to `most`, never to be given back.
        case all(set: Int, least: Int, most: Int)
        /// Goes on at the first place, and if that fails at the second; `number` counts such steps.
        case either(Int, Int, number: Int)
        case jump(Int)
        /// Looks ahead: what begins at the next step, up to its `.end`, is there, or is not; goes on at `then`.
        case look(isThere: Bool, then: Int)
        /// The end of a line.
        case lineEnd
        /// Where a word begins or ends.
        case wordEdge
        case end
    }

    var steps: [Step] = []
    var sets: [ScalarSet] = []
    /// Where each alternative of the whole expression begins.
    var alternatives: [Int] = []
    /// How many `.either` there are.
    var branches = 0
}

/// A text as scalars with their properties, which sets are asked about.
struct ScalarText {
    private(set) var codes: [UInt32] = []
    private var properties: [ScalarSet.Properties] = []
    /// Byte offset of each scalar, and the length of the text at the end.
    private(set) var offsets: [Int] = []

    var count: Int { codes.count }

    init(_ bytes: [UInt8]) {
        codes.reserveCapacity(bytes.count)
        properties.reserveCapacity(bytes.count)
        offsets.reserveCapacity(bytes.count + 1)
        var position = 0
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            codes.append(scalar.value)
            // Sets answer for ASCII without it.
            properties.append(scalar.isASCII ? [] : .init(of: scalar))
            offsets.append(position)
            position += UTF8.width(scalar)
        }
        offsets.append(position)
    }

    func belongs(_ index: Int, to set: ScalarSet) -> Bool {
        let code = codes[index]
        return code < 128 ? set.containsASCII(code) : set.contains(code, properties[index])
    }
}

/// Finds the matches of a program in one text.
///
/// Going back costs no more than (branches × scalars) steps for each alternative: a place that failed is remembered, and
/// nothing leads through it again. Small searches, which is nearly all, do without that memory.
struct SplitMatcher {
    private let program: SplitProgram
    private let text: ScalarText
    /// Places that fail: bit `branch × (scalars + 1) + position`. Empty as long as searches are small.
    private var failed: [UInt64] = []
    private var touched: [Int] = []
    private var stack: [(step: Int, position: Int)] = []
    /// The run that each set was last seen to have, so that an endless possessive repetition walks through it once.
    private var runs: [Range<Int>]
    private static let smallSearch = 512

    init(_ program: SplitProgram, _ text: ScalarText) {
        self.program = program
        self.text = text
        runs = [Range<Int>](repeating: 0..<0, count: program.sets.count)
    }

    /// The end of the first alternative that matches at `start`; nil where none does.
    mutating func end(from start: Int) -> Int? {
        for alternative in program.alternatives {
            if let end = search(alternative, start) { return end }
        }
        return nil
    }

    private mutating func search(_ step: Int, _ position: Int) -> Int? {
        if failed.isEmpty {
            var budget = Self.smallSearch
            let base = stack.count
            let end = run(step, position, &budget, remembers: false)
            if budget > 0 { return end }
            stack.removeLast(stack.count - base)
            failed = [UInt64](repeating: 0, count: (program.branches * (text.count + 1)) / 64 + 1)
        }
        let before = touched.count
        var budget = Int.max
        let end = run(step, position, &budget, remembers: true)
        // What was met on the way to a match did not fail.
        if end != nil { for bit in touched[before...] { failed[bit / 64] &= ~(1 << UInt64(bit % 64)) } }
        touched.removeLast(touched.count - before)
        return end
    }

    private mutating func run(_ first: Int, _ start: Int, _ budget: inout Int, remembers: Bool) -> Int? {
        let base = stack.count
        stack.append((first, start))
        while stack.count > base {
            var (step, position) = stack.removeLast()
            path: while true {
                budget -= 1
                if budget <= 0 { return nil }
                switch program.steps[step] {
                case .scalar(let set):
                    guard position < text.count, text.belongs(position, to: program.sets[set]) else { break path }
                    position += 1
                    step += 1
                case .all(let set, let least, let most):
                    let end = most == Int.max ? endOfRun(set, position) : endOfRun(set, position, most: most)
                    guard end - position >= least else { break path }
                    position = end
                    step += 1
                case .either(let now, let later, let number):
                    if remembers {
                        let bit = number * (text.count + 1) + position
                        guard failed[bit / 64] >> UInt64(bit % 64) & 1 == 0 else { break path }
                        failed[bit / 64] |= 1 << UInt64(bit % 64)
                        touched.append(bit)
                    }
                    stack.append((later, position))
                    step = now
                case .jump(let target): step = target
                case .look(let isThere, let then):
                    let touchedBefore = touched.count
                    let depth = stack.count
                    let found = run(step + 1, position, &budget, remembers: remembers)
                    if budget <= 0 { return nil }
                    stack.removeLast(stack.count - depth)
                    if found != nil {
                        for bit in touched[touchedBefore...] { failed[bit / 64] &= ~(1 << UInt64(bit % 64)) }
                        touched.removeLast(touched.count - touchedBefore)
                    }
                    guard (found != nil) == isThere else { break path }
                    step = then
                case .lineEnd:
                    guard position == text.count || text.codes[position] == 0x0A else { break path }
                    step += 1
                case .wordEdge:
                    guard isWord(position - 1) != isWord(position) else { break path }
                    step += 1
                case .end:
                    stack.removeLast(stack.count - base)
                    return position
                }
            }
        }
        return nil
    }

    private mutating func endOfRun(_ set: Int, _ start: Int) -> Int {
        if runs[set].contains(start) { return runs[set].upperBound }
        let end = endOfRun(set, start, most: Int.max)
        runs[set] = start..<end
        return end
    }

    private func endOfRun(_ set: Int, _ start: Int, most: Int) -> Int {
        var end = start
        while end < text.count, end - start < most, text.belongs(end, to: program.sets[set]) { end += 1 }
        return end
    }

    private func isWord(_ index: Int) -> Bool {
        text.codes.indices.contains(index) && text.belongs(index, to: Self.word)
    }

    private static let word: ScalarSet = {
        var set = ScalarSet()
        set.insert(.word)
        set.prepare()
        return set
    }()
}
