import Tensors

/// Documents dealt to folds: what is fitted on the documents of the others is scored on those of one.
///
/// Units of the sampling design stay whole, so that a parallel set or a cluster is never on both sides. Units whose documents are of
/// the same groups are shuffled and dealt one after the other: a group with fewer units than there are folds has every unit in
/// a fold of its own, and is fitted on all its other units.
struct DecodingFolds {
    /// Folds at most.
    static let most = 5

    /// The fold of each document; -1: left out.
    let fold: [Int]
    /// Folds that have documents are 0..<count.
    let count: Int
    /// Units of each group, as the groups were given.
    let units: [Int]

    /// - Parameters:
    ///   - unit: of each document.
    ///   - group: of each document, in 0..<groups; -1: left out.
    init(unit: [Int], group: [Int], groups: Int, seed: UInt64) {
        var members: [Int: Set<Int>] = [:]
        var order: [Int] = []
        for document in unit.indices where group[document] >= 0 {
            if members[unit[document]] == nil { order.append(unit[document]) }
            members[unit[document], default: []].insert(group[document])
        }
        var strata: [(groups: Set<Int>, units: [Int])] = []
        for unit in order {
            let own = members[unit] ?? []
            if let place = strata.firstIndex(where: { $0.groups == own }) {
                strata[place].units.append(unit)
            } else {
                strata.append((own, [unit]))
            }
        }
        var generator = SeededGenerator(seed: seed, stream: 0x666f_6c64)
        var foldOf: [Int: Int] = [:]
        for (_, units) in strata {
            var shuffled = units
            generator.shuffle(&shuffled)
            for unit in shuffled { foldOf[unit] = foldOf.count % Self.most }
        }
        fold = unit.indices.map { group[$0] >= 0 ? foldOf[unit[$0]] ?? -1 : -1 }
        count = min(Self.most, order.count)
        self.units = (0..<groups).map { group in members.values.count { $0.contains(group) } }
    }
}
