extension String {
    /// How many letters are to be put in, taken out, changed or swapped with their neighbour to make one word of the other
    /// (Damerau 1964, no letter touched twice).
    package func editDistance(to other: String) -> Int {
        let (a, b) = (Array(self), Array(other))
        var before = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = Swift.min(last[j] + (a[i] == b[j] ? 0 : 1), row[j] + 1, last[j + 1] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = Swift.min(least, before[j - 1] + 1) }
                row.append(least)
            }
            (before, last) = (last, row)
        }
        return last[b.count]
    }
}
