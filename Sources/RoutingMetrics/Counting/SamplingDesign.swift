/// Which documents belong together. Tokens belong to documents, documents to parallel sets (`parallel_id`) and to clusters
/// (`cluster`: source, manual, author).
///
/// A **unit** is what counts as one independent observation: a bootstrap resamples whole units, variances are taken over units.
/// It is a document, or all documents of a parallel set, or all documents of a cluster where every group has enough clusters.
/// A **block** is what group labels are exchanged in: a parallel set, or a cluster that has documents of several groups. Outside
/// blocks, labels of whole units are exchanged.
package struct SamplingDesign: Sendable, Equatable {
    /// The unit of each document.
    private(set) var unit: [Int]
    /// The block of each document; -1: none.
    private(set) var block: [Int]
    let unitCount: Int

    /// Fewer clusters of a group cannot tell the group from its clusters: with six in each of two groups, labels of clusters
    /// can be exchanged in 924 ways; with five, in 252, and a variance over five clusters has four degrees of freedom.
    package static let fewestClusters = 6

    /// Every document stands by itself.
    package init(documents: Int) {
        unit = Array(0..<documents)
        block = Array(repeating: -1, count: documents)
        unitCount = documents
    }

    private init(unit: [Int], block: [Int], unitCount: Int) {
        self.unit = unit
        self.block = block
        self.unitCount = unitCount
    }

    /// - Parameters:
    ///   - group: each document's group.
    ///   - parallel: what documents of the same text share.
    ///   - cluster: what documents of the same source share.
    ///   - isJudged: for each group, whether it has the documents to be compared; the others do not decide what a unit is.
    package init(group: [Int], parallel: [String?], cluster: [String?], isJudged: [Bool]) {
        let count = group.count
        func members(_ names: [String?]) -> [String: [Int]] {
            var result: [String: [Int]] = [:]
            for (document, name) in names.enumerated() { if let name { result[name, default: []].append(document) } }
            return result
        }
        func isCrossed(_ documents: [Int]) -> Bool { documents.contains { group[$0] != group[documents[0]] } }
        func ordered(_ sets: [String: [Int]]) -> [[Int]] { sets.sorted { $0.key < $1.key }.map(\.value) }
        var joined = Array(0..<count)
        func root(_ document: Int) -> Int {
            var place = document
            while joined[place] != place { place = joined[place] }
            return place
        }
        func join(_ documents: [Int]) {
            for other in documents.dropFirst() { joined[root(other)] = root(documents[0]) }
        }
        var block = [Int](repeating: -1, count: count)
        var blocks = 0
        for set in ordered(members(parallel)) where isCrossed(set) {
            join(set)
            for document in set { block[document] = blocks }
            blocks += 1
        }
        let clusters = ordered(members(cluster))
        let small = joined
        /// Units of each judged group.
        func unitsByGroup() -> [Int: Int] {
            var seen: [Int: Set<Int>] = [:]
            for document in 0..<count where isJudged[group[document]] {
                seen[group[document], default: []].insert(root(document))
            }
            return seen.mapValues(\.count)
        }
        let before = unitsByGroup()
        for cluster in clusters { join(cluster) }
        let areEnough = unitsByGroup().allSatisfy { $1 >= Self.fewestClusters || $1 == before[$0] }
        if !areEnough {
            // Clusters that have documents of several groups are few: what is found holds for them. Those nested in a group stay whole.
            joined = small
            for cluster in clusters where !isCrossed(cluster) && cluster.allSatisfy({ block[$0] < 0 }) { join(cluster) }
        }
        for cluster in clusters where isCrossed(cluster) {
            for document in cluster where block[document] < 0 { block[document] = blocks }
            blocks += 1
        }
        var number: [Int: Int] = [:]
        unit = (0..<count).map { document in
            let place = root(document)
            if let known = number[place] { return known }
            number[place] = number.count
            return number.count - 1
        }
        self.block = block
        unitCount = number.count
    }

    func restricted(to documents: [Int]) -> SamplingDesign {
        var number = [Int](repeating: -1, count: unitCount)
        var count = 0
        let units = documents.map { document in
            if number[unit[document]] < 0 {
                number[unit[document]] = count
                count += 1
            }
            return number[unit[document]]
        }
        return SamplingDesign(unit: units, block: documents.map { block[$0] }, unitCount: count)
    }
}

/// Units in strata: a bootstrap keeps the number of units of each. Units with documents of several groups are one stratum, the
/// others one per group.
struct ResampledUnits: Sendable {
    /// Units of each stratum, none empty.
    let strata: [[Int]]
    let unitCount: Int

    init(_ table: DocumentTable) {
        let design = table.design
        let crossed = table.groupCount
        var stratum = [Int](repeating: -1, count: design.unitCount)
        for (document, group) in table.group.enumerated() {
            let unit = design.unit[document]
            stratum[unit] = stratum[unit] == -1 || stratum[unit] == group ? group : crossed
        }
        var units = [[Int]](repeating: [], count: crossed + 1)
        for (unit, place) in stratum.enumerated() where place >= 0 { units[place].append(unit) }
        // A unit alone in its stratum would be the same in every replicate: such units are resampled with others.
        var single = units.filter { $0.count == 1 }.flatMap(\.self)
        var several = units.filter { $0.count > 1 }
        if single.count == 1, let largest = several.indices.max(by: { several[$0].count < several[$1].count }) {
            several[largest] += single
            single = []
        }
        strata = several + (single.isEmpty ? [] : [single])
        unitCount = design.unitCount
    }
}
