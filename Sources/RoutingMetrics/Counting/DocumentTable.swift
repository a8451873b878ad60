/// Sums per document, [D, C], and the group of each document: what every estimate of one layer is computed from.
///
/// Statistics are functions of the sums per group, [G, C]: a bootstrap weighs documents, a permutation relabels them, and
/// neither looks at a token again.
package struct DocumentTable: Sendable {
    let columns: Int
    /// G
    let groupCount: Int
    /// The group of each document, in 0..<G.
    let group: [Int]
    /// [D, C]
    let values: [Double]
    /// Which documents belong together.
    let design: SamplingDesign

    /// - Parameter design: nil: every document stands by itself.
    package init(
        columns: Int, groupCount: Int, group: [Int], values: [Double], design: SamplingDesign? = nil
    ) {
        precondition(values.count == columns * group.count)
        self.columns = columns
        self.groupCount = groupCount
        self.group = group
        self.values = values
        self.design = design ?? SamplingDesign(documents: group.count)
    }

    var documentCount: Int { group.count }

    /// Documents of each group.
    var documentsByGroup: [[Int]] {
        var result = [[Int]](repeating: [], count: groupCount)
        for (document, group) in group.enumerated() { result[group].append(document) }
        return result
    }

    /// What a bootstrap resamples.
    var strata: ResampledUnits { ResampledUnits(self) }

    /// The documents of some groups only; groups are renumbered in the order given.
    func restricted(to groups: [Int]) -> DocumentTable {
        var newGroup = [Int](repeating: -1, count: groupCount)
        for (new, old) in groups.enumerated() { newGroup[old] = new }
        let kept = group.indices.filter { newGroup[group[$0]] >= 0 }
        return DocumentTable(
            columns: columns, groupCount: groups.count, group: kept.map { newGroup[group[$0]] },
            values: kept.flatMap { values[$0 * columns..<($0 + 1) * columns] }, design: design.restricted(to: kept))
    }

    /// Some columns only, in the order given.
    func columns(_ kept: [Int]) -> DocumentTable {
        DocumentTable(
            columns: kept.count, groupCount: groupCount, group: group,
            values: group.indices.flatMap { document in kept.map { values[document * columns + $0] } }, design: design)
    }

    /// [G, C], every document once.
    var sums: [Double] {
        var result = [Double](repeating: 0, count: groupCount * columns)
        result.withUnsafeMutableBufferPointer { add(labels: group, into: $0) }
        return result
    }

    /// Adds every document to the row of its label: [G, C].
    func add(labels: [Int], into sums: UnsafeMutableBufferPointer<Double>) {
        guard let sums = sums.baseAddress else { return }
        values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for document in 0..<labels.count {
                Self.add(values + document * columns, times: 1, to: sums + labels[document] * columns, columns)
            }
        }
    }

    /// Adds some documents, each to the row of its label: [labels, C].
    func add(documents: [Int], labels: [Int], into sums: UnsafeMutableBufferPointer<Double>) {
        guard let sums = sums.baseAddress else { return }
        values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for (document, label) in zip(documents, labels) {
                Self.add(values + document * columns, times: 1, to: sums + label * columns, columns)
            }
        }
    }

    /// target += times · source, four columns at once: rows are short, and a loop's start would cost more than its work.
    @inline(__always)
    fileprivate static func add(
        _ source: UnsafePointer<Double>, times: Double, to target: UnsafeMutablePointer<Double>, _ columns: Int
    ) {
        var column = 0
        while column + 4 <= columns {
            let raw = UnsafeMutableRawPointer(target + column)
            let sum = raw.loadUnaligned(as: SIMD4<Double>.self)
            let row = UnsafeRawPointer(source + column).loadUnaligned(as: SIMD4<Double>.self)
            let result = sum + times * row
            target[column] = result[0]
            target[column + 1] = result[1]
            target[column + 2] = result[2]
            target[column + 3] = result[3]
            column += 4
        }
        while column < columns {
            target[column] += times * source[column]
            column += 1
        }
    }
}

/// What a bootstrap draws from: the rows of a table, and what each is drawn with.
///
/// Documents of one group that are drawn together are one row, where all numbers are whole and add up to the same in any order: parallel texts in
/// many groups, where one group is held against all others, are so counted in a fraction of the time.
struct DrawnRows: Sendable {
    private let columns: Int
    private let group: [Int]
    /// What each row is resampled with.
    private let unit: [Int]
    /// [rows, C]
    private let values: [Double]

    init(_ table: DocumentTable) {
        let C = table.columns
        columns = C
        var rows: [Int: Int] = [:]
        let design = table.design.resampled
        let row = table.group.indices.map { document -> Int in
            let key = design[document] * table.groupCount + table.group[document]
            if let known = rows[key] { return known }
            rows[key] = rows.count
            return rows.count - 1
        }
        guard rows.count < row.count, table.values.allSatisfy({ abs($0) < 0x1p40 && $0 == $0.rounded() }) else {
            group = table.group
            unit = design
            values = table.values
            return
        }
        var (group, unit) = ([Int](repeating: 0, count: rows.count), [Int](repeating: 0, count: rows.count))
        for (document, row) in row.enumerated() {
            group[row] = table.group[document]
            unit[row] = design[document]
        }
        values = [Double](unsafeUninitializedCapacity: rows.count * C) { sums, count in
            sums.initialize(repeating: 0)
            table.add(labels: row, into: sums)
            count = rows.count * C
        }
        self.group = group
        self.unit = unit
    }

    /// Adds every row, as often as its unit was drawn, to the row of its group: [G, C].
    func add(drawn: [Int32], into sums: UnsafeMutableBufferPointer<Double>) {
        guard let sums = sums.baseAddress else { return }
        values.withUnsafeBufferPointer { values in
            guard let values = values.baseAddress else { return }
            for row in group.indices {
                let times = drawn[unit[row]]
                guard times > 0 else { continue }
                DocumentTable.add(
                    values + row * columns, times: Double(times), to: sums + group[row] * columns, columns)
            }
        }
    }
}

/// A function of group sums [G, C] that writes a fixed number of results.
package typealias TableStatistic =
    @Sendable (
        _ sums: UnsafeBufferPointer<Double>, _ results: UnsafeMutableBufferPointer<Double>
    ) -> Void

/// Sums per document of several layers, zero at first; each layer's table is filled by one thread at a time.
final class DocumentSums: @unchecked Sendable {
    let values: [UnsafeMutableBufferPointer<Double>]

    init(layers: Int, size: Int) {
        values = (0..<layers).map { _ in
            let table = UnsafeMutableBufferPointer<Double>.allocate(capacity: size)
            table.initialize(repeating: 0)
            return table
        }
    }

    deinit { values.forEach { $0.deallocate() } }
}
