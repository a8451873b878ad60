import Tensors

/// Documents in two halves: what is chosen because it is the largest on one half is measured on the other, where it is not
/// larger by chance.
public struct DocumentSplit: Codable, Sendable, Equatable {
    /// Numbers of the documents that choose, from 0, rising.
    public var choosing: [Int]
    /// Those that are scored.
    public var scored: [Int]

    public init(choosing: [Int], scored: [Int]) {
        self.choosing = choosing
        self.scored = scored
    }

    /// Halves at random. Documents of one set stay together, and every group has half of its sets in each half.
    ///
    /// - Parameters:
    ///   - groups: each document's group.
    ///   - sets: each document's set: the same text in several languages. nil: it is one of its own.
    public init(groups: [String], sets: [String?], seed: UInt64) {
        var members: [String: [Int]] = [:]
        var order: [[Int]] = []
        for document in groups.indices {
            if let set = sets[document] {
                members[set, default: []].append(document)
            } else {
                order.append([document])
            }
        }
        order += members.values
        // Sets of the same groups are exchangeable; each kind of set is halved by itself.
        let kinds = Dictionary(grouping: order) { $0.map { groups[$0] }.sorted() }
        var numbers = SeededGenerator(seed: seed, stream: 0x73_706c_6974)
        var halves: [[Int]] = [[], []]
        var turn = 0
        for kind in kinds.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            var sets = kind.value.sorted { $0.lexicographicallyPrecedes($1) }
            numbers.shuffle(&sets)
            for set in sets {
                halves[turn] += set
                turn = 1 - turn
            }
        }
        self.init(choosing: halves[0].sorted(), scored: halves[1].sorted())
    }
}
