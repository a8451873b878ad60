/// Which documents belong together. Tokens belong to documents, documents to parallel sets (`parallel_id`) and to clusters
/// (`cluster`: source, manual, author).
///
/// What a bootstrap **resamples** whole is a cluster, where every group has enough of them; else a parallel set; else a document.
///
/// What is compared between groups is a **unit**: variances of contrasts are taken over units. Documents of one parallel set are one
/// unit, so that what they share cancels. A cluster whose documents are all of one group is one unit, and so are the documents that a
/// cluster has in one group, where groups have enough of them. Else a document is a unit.
///
/// Labels are exchanged between **items** of a **block**: between the documents of a parallel set, between the groups that a cluster has
/// documents of, and else, outside blocks, between units. So what is found in parallel texts is found for the clusters that they are of.
package struct SamplingDesign: Sendable, Equatable {
    /// What each document is resampled with.
    package private(set) var resampled: [Int]
    let resampledCount: Int
    /// The unit of each document.
    package private(set) var unit: [Int]
    let unitCount: Int
    /// What a document's label is exchanged with as a whole.
    package private(set) var item: [Int]
    /// The block of each document; -1: none.
    package private(set) var block: [Int]

    /// Fewer clusters of a group cannot tell the group from its clusters: with six in each of two groups, labels of clusters
    /// can be exchanged in 924 ways; with five, in 252, and a variance over five clusters has four degrees of freedom.
    package static let fewestClusters = 6
    /// Where most documents of a group are of one or two clusters, the others hardly count.
    package static let fewestEffectiveClusters = 3.0

    /// Every document stands by itself.
    package init(documents: Int) {
        resampled = Array(0..<documents)
        (unit, item) = (resampled, resampled)
        block = Array(repeating: -1, count: documents)
        (resampledCount, unitCount) = (documents, documents)
    }

    /// - Parameters:
    ///   - group: each document's group.
    ///   - parallel: what documents of the same text share.
    ///   - cluster: what documents of the same source share.
    ///   - isJudged: for each group, whether it has the documents to be compared; the others do not decide what is resampled.
    package init(group: [Int], parallel: [String?], cluster: [String?], isJudged: [Bool]) {
        func members(_ names: [String?]) -> [[Int]] {
            var result: [String: [Int]] = [:]
            for (document, name) in names.enumerated() { if let name { result[name, default: []].append(document) } }
            return result.sorted { $0.key < $1.key }.map(\.value)
        }
        func isCrossed(_ documents: [Int]) -> Bool { documents.contains { group[$0] != group[documents[0]] } }
        var sets = Joined(group.count)
        var block = [Int](repeating: -1, count: group.count)
        var blocks = 0
        for set in members(parallel) where isCrossed(set) {
            sets.join(set)
            for document in set { block[document] = blocks }
            blocks += 1
        }
        let clusters = members(cluster)
        func counts(_ joined: Joined) -> [Int] {
            var seen = [Set<Int>](repeating: [], count: isJudged.count)
            for (document, group) in group.enumerated() { seen[group].insert(joined.root(document)) }
            return seen.map(\.count)
        }
        func hasSeveral(_ joined: Joined) -> Bool { zip(isJudged, counts(joined)).allSatisfy { !$0 || $1 > 1 } }
        /// Whether joining leaves every judged group six units or more, or as many as it had.
        func areEnough(_ joined: Joined, _ before: Joined) -> Bool {
            zip(isJudged, zip(counts(joined), counts(before))).allSatisfy {
                !$0 || $1.0 >= Self.fewestClusters || $1.0 == $1.1
            }
        }
        var nested = sets
        for cluster in clusters where !isCrossed(cluster) && cluster.allSatisfy({ block[$0] < 0 }) {
            nested.join(cluster)
        }
        var whole = nested
        for cluster in clusters { whole.join(cluster) }
        // One cluster shows nothing of how clusters differ: then what is resampled is the texts of that cluster.
        (resampled, resampledCount) = (areEnough(whole, sets) ? whole : hasSeveral(nested) ? nested : sets).numbers
        var cells = nested
        for cluster in clusters where isCrossed(cluster) {
            let free = cluster.filter { block[$0] < 0 }
            for documents in Dictionary(grouping: free, by: { group[$0] }).values { cells.join(documents) }
        }
        let units = areEnough(cells, nested) ? cells : nested
        (unit, unitCount) = units.numbers
        var items = Joined(group.count)
        for document in group.indices where block[document] < 0 { items.join([units.root(document), document]) }
        for cluster in clusters where isCrossed(cluster) {
            for document in cluster where block[document] < 0 { block[document] = blocks }
            blocks += 1
        }
        item = items.numbers.number
        self.block = block
    }

    private init(_ whole: SamplingDesign, _ documents: [Int]) {
        (resampled, resampledCount) = Self.numbers(documents.map { whole.resampled[$0] })
        (unit, unitCount) = Self.numbers(documents.map { whole.unit[$0] })
        item = Self.numbers(documents.map { whole.item[$0] }).number
        block = documents.map { whole.block[$0] }
    }

    func restricted(to documents: [Int]) -> SamplingDesign { SamplingDesign(self, documents) }

    /// Sums over the documents that are resampled together, in order of appearance.
    func sums(_ documents: [Int], _ value: (Int) -> Double) -> [Double] {
        let (number, count) = Self.numbers(documents.map { resampled[$0] })
        var sums = [Double](repeating: 0, count: count)
        for (place, document) in documents.enumerated() { sums[number[place]] += value(document) }
        return sums
    }

    /// Numbers from 0, in order of appearance.
    fileprivate static func numbers(_ places: [Int]) -> (number: [Int], count: Int) {
        var known: [Int: Int] = [:]
        let result = places.map { place -> Int in
            if let number = known[place] { return number }
            known[place] = known.count
            return known.count - 1
        }
        return (result, known.count)
    }
}

/// Documents joined into sets.
private struct Joined {
    private var parent: [Int]

    init(_ count: Int) { parent = Array(0..<count) }

    func root(_ document: Int) -> Int {
        var place = document
        while parent[place] != place { place = parent[place] }
        return place
    }

    mutating func join(_ documents: [Int]) {
        for other in documents.dropFirst() { parent[root(other)] = root(documents[0]) }
    }

    var numbers: (number: [Int], count: Int) { SamplingDesign.numbers(parent.indices.map(root)) }
}

/// Units in strata: a bootstrap keeps the number of units of each. Units with documents of several groups are one stratum, the
/// others one per group.
struct ResampledUnits: Sendable {
    /// Units of each stratum, none empty.
    let strata: [[Int]]
    /// Documents of each unit.
    let documents: [[Int]]
    var unitCount: Int { documents.count }

    init(_ table: DocumentTable) { self.init(table, table.design.resampled, table.design.resampledCount) }

    /// - Parameter units: the unit of each document, in 0..<count.
    init(_ table: DocumentTable, _ units: [Int], _ count: Int) {
        let crossed = table.groupCount
        var stratum = [Int](repeating: -1, count: count)
        var documents = [[Int]](repeating: [], count: count)
        for (document, group) in table.group.enumerated() {
            let unit = units[document]
            documents[unit].append(document)
            stratum[unit] = stratum[unit] == -1 || stratum[unit] == group ? group : crossed
        }
        var members = [[Int]](repeating: [], count: crossed + 1)
        for (unit, place) in stratum.enumerated() where place >= 0 { members[place].append(unit) }
        // A unit alone in its stratum would be the same in every replicate: such units are resampled with others.
        var single = members.filter { $0.count == 1 }.flatMap(\.self)
        var several = members.filter { $0.count > 1 }
        if single.count == 1, let largest = several.indices.max(by: { several[$0].count < several[$1].count }) {
            several[largest] += single
            single = []
        }
        strata = several + (single.isEmpty ? [] : [single])
        self.documents = documents
    }
}
