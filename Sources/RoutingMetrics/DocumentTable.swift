/// Sums per document, [D, C], and the group of each document: what every estimate of one layer is computed from.
///
/// Statistics are functions of the sums per group, [G, C]: a bootstrap weighs documents, a permutation relabels them, and
/// neither looks at a token again.
package struct DocumentTable: Sendable {
    let columns: Int
    /// G
    let groupCount: Int
    /// Of each document, in 0..<G.
    let group: [Int]
    /// [D, C]
    let values: [Double]

    package init(columns: Int, groupCount: Int, group: [Int], values: [Double]) {
        precondition(values.count == columns * group.count)
        self.columns = columns
        self.groupCount = groupCount
        self.group = group
        self.values = values
    }

    var documentCount: Int { group.count }

    /// Documents of each group.
    var strata: [[Int]] {
        var result = [[Int]](repeating: [], count: groupCount)
        for (document, group) in group.enumerated() { result[group].append(document) }
        return result
    }

    /// The documents of some groups only; groups are renumbered in the order given.
    func restricted(to groups: [Int]) -> DocumentTable {
        var newGroup = [Int](repeating: -1, count: groupCount)
        for (new, old) in groups.enumerated() { newGroup[old] = new }
        var group: [Int] = []
        var values: [Double] = []
        for (document, old) in self.group.enumerated() where newGroup[old] >= 0 {
            group.append(newGroup[old])
            values.append(contentsOf: self.values[document * columns..<(document + 1) * columns])
        }
        return DocumentTable(columns: columns, groupCount: groups.count, group: group, values: values)
    }

    /// [G, C], every document once.
    var sums: [Double] {
        var result = [Double](repeating: 0, count: groupCount * columns)
        result.withUnsafeMutableBufferPointer { add(labels: group, into: $0) }
        return result
    }

    /// Adds every document to the row of its label: [G, C].
    func add(labels: [Int], into sums: UnsafeMutableBufferPointer<Double>) {
        values.withUnsafeBufferPointer { values in
            for document in 0..<labels.count {
                let row = labels[document] * columns
                let source = document * columns
                for column in 0..<columns { sums[row + column] += values[source + column] }
            }
        }
    }

    /// Adds every document, as often as it was drawn, to the row of its group: [G, C].
    func add(drawn: [Int32], into sums: UnsafeMutableBufferPointer<Double>) {
        values.withUnsafeBufferPointer { values in
            for document in 0..<drawn.count where drawn[document] > 0 {
                let weight = Double(drawn[document])
                let row = group[document] * columns
                let source = document * columns
                for column in 0..<columns { sums[row + column] += weight * values[source + column] }
            }
        }
    }
}

/// A function of group sums [G, C] that writes a fixed number of results.
package typealias TableStatistic =
    @Sendable (
        _ sums: UnsafeBufferPointer<Double>, _ results: UnsafeMutableBufferPointer<Double>
    ) -> Void
