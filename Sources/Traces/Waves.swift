/// How documents are packed into waves.
public enum Waves {
    /// Ranges of consecutive lengths whose sums are at most `limit`; a longer one stands alone.
    public static func pack(_ lengths: [Int], _ limit: Int) -> [Range<Int>] {
        var waves: [Range<Int>] = []
        var start = 0
        var rows = 0
        for (index, length) in lengths.enumerated() {
            if index > start, rows + length > limit {
                waves.append(start..<index)
                (start, rows) = (index, 0)
            }
            rows += length
        }
        if start < lengths.count { waves.append(start..<lengths.count) }
        return waves
    }

    /// So many ranges of consecutive lengths with sums as equal as the order allows; none is empty.
    /// - Precondition: 1 ≤ count ≤ number of lengths.
    public static func parts(_ lengths: [Int], _ count: Int) -> [Range<Int>] {
        precondition(1...max(1, lengths.count) ~= count)
        let total = lengths.reduce(0, +)
        var ranges: [Range<Int>] = []
        var (start, sum) = (0, 0)
        for part in 1...count {
            var end = start + 1
            sum += lengths[start]
            // As many are left as there are parts to come.
            while end < lengths.count - (count - part), part == count || sum + lengths[end] / 2 < total * part / count {
                sum += lengths[end]
                end += 1
            }
            ranges.append(start..<end)
            start = end
        }
        return ranges
    }
}
