/// Finds which of many byte strings a text starts with: a search that narrows the sorted strings byte by byte, so that
/// thousands of strings with the same first byte cost little.
struct PrefixMatcher: Sendable {
    /// Sorted, none twice, none empty.
    private let strings: [[UInt8]]
    /// The strings that begin with each byte; the last entry is their number.
    private let starts: [Int32]

    /// Longest string that files may have looked for at every place of a text: what it takes grows with the length.
    static let longest = 256

    /// - Throws: an error that shows the beginning of a string which is longer.
    static func check(_ strings: some Sequence<[UInt8]>, file: String) throws(TokenizerError) {
        for string in strings where string.count > longest {
            throw TokenizerError(
                file: file, subject: "added token \"\(String(decoding: string.prefix(32), as: UTF8.self))…\"",
                problem: "expected at most \(longest) bytes, found \(string.count)")
        }
    }

    init(_ strings: [[UInt8]]) {
        let sorted = Set(strings.filter { !$0.isEmpty }).sorted { $0.lexicographicallyPrecedes($1) }
        var starts = [Int32](repeating: 0, count: 257)
        for string in sorted { starts[Int(string[0]) + 1] += 1 }
        for byte in 0..<256 { starts[byte + 1] += starts[byte] }
        self.strings = sorted
        self.starts = starts
    }

    /// Bytes of the longest string that the text starts with, or nil.
    @inline(__always)
    func match(_ bytes: UnsafePointer<UInt8>, _ available: Int) -> Int? {
        let first = Int(bytes[0])
        guard starts[first] < starts[first + 1] else { return nil }
        var longest: Int?
        search(bytes, available) { longest = $0 }
        return longest
    }

    /// Calls with the length of every string that the text starts with, the shortest first.
    func forEachMatch(_ bytes: UnsafePointer<UInt8>, _ available: Int, _ body: (Int) -> Void) {
        search(bytes, available, body)
    }

    private func search(_ bytes: UnsafePointer<UInt8>, _ available: Int, _ body: (Int) -> Void) {
        guard available > 0 else { return }
        var low = Int(starts[Int(bytes[0])])
        var high = Int(starts[Int(bytes[0]) + 1])
        var depth = 1
        while low < high {
            // Of strings with the same start, the one that ends here comes first.
            if strings[low].count == depth {
                body(depth)
                low += 1
            }
            guard depth < available, low < high else { return }
            let byte = bytes[depth]
            low = place(of: byte, at: depth, low, high)
            high = byte == 255 ? high : place(of: byte + 1, at: depth, low, high)
            depth += 1
        }
    }

    /// The first of `low..<high` whose byte at `depth` is not less than `byte`.
    private func place(of byte: UInt8, at depth: Int, _ low: Int, _ high: Int) -> Int {
        var (low, high) = (low, high)
        while low < high {
            let middle = (low + high) / 2
            if strings[middle][depth] < byte { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
