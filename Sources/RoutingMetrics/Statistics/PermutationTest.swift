import Tensors

/// Relabelling documents as if the group meant nothing: what `SamplingDesign` says is exchangeable is exchanged.
struct LabelExchange: Sendable {
    /// What is exchanged: items of several documents each, block after block; first those outside blocks.
    private let blocks: [Range<Int>]
    /// The label of each item.
    private let itemLabels: [Int]
    /// Documents that are in a block of several items, and the item of each.
    private let documents: [Int]
    private let items: [Int]
    private let labels: [Int]

    init(labels: [Int], design: SamplingDesign) {
        var found: [Int: [Int: [Int]]] = [:]
        for document in labels.indices {
            found[design.block[document], default: [:]][design.item[document], default: []].append(document)
        }
        var blocks: [Range<Int>] = []
        var itemLabels: [Int] = []
        var documents: [Int] = []
        var items: [Int] = []
        for (_, block) in found.sorted(by: { $0.key < $1.key }) where block.count > 1 {
            blocks.append(itemLabels.count..<itemLabels.count + block.count)
            for (_, item) in block.sorted(by: { $0.key < $1.key }) {
                documents += item
                items += repeatElement(itemLabels.count, count: item.count)
                itemLabels.append(labels[item[0]])
            }
        }
        self.labels = labels
        self.blocks = blocks
        self.itemLabels = itemLabels
        self.documents = documents
        self.items = items
    }

    /// One relabelling.
    func callAsFunction(seed: UInt64, stream: UInt64, permutation: Int) -> [Int] {
        // Apart from the bootstrap's streams.
        var generator = SeededGenerator(seed: ~seed &+ stream, stream: UInt64(permutation))
        var exchanged = itemLabels
        var result = labels
        exchanged.withUnsafeMutableBufferPointer { exchanged in
            for block in blocks { generator.shuffle(exchanged, block) }
            result.withUnsafeMutableBufferPointer { result in
                for place in documents.indices { result[documents[place]] = exchanged[items[place]] }
            }
        }
        return result
    }
}

/// What statistics look like when group labels mean nothing: labels exchanged as the sampling design allows, tokens left with their
/// documents. For the null bands of figures; what is claimed is judged by `ContrastTest`.
package struct PermutationTest: Sendable {
    /// The permuted values of each statistic: [statistics][permutations].
    private let null: [[Double]]

    package init(
        _ table: DocumentTable, settings: MetricSettings, stream: UInt64 = 0, width: Int,
        _ statistic: @escaping TableStatistic
    ) {
        let size = table.groupCount * table.columns
        let count = max(0, settings.permutations)
        let exchange = LabelExchange(labels: table.group, design: table.design)
        let rows = Parallel.rows(count, width: width, threads: settings.threads) { permutation, results in
            let labels = exchange(seed: settings.seed, stream: stream, permutation: permutation)
            withUnsafeTemporaryAllocation(of: Double.self, capacity: size) { sums in
                sums.initialize(repeating: 0)
                table.add(labels: labels, into: sums)
                statistic(UnsafeBufferPointer(sums), results)
            }
        }
        null = (0..<width).map { column in (0..<count).map { rows[$0 * width + column] } }
    }

    /// (1 + permutations at least as extreme) / (1 + permutations): never 0, and valid for any number of permutations.
    package func pValue(_ index: Int, _ value: Double) -> Double {
        // Sums of the same numbers in another order differ in the last bits; those are ties.
        let least = value - 1e-12 * max(1e-300, abs(value))
        let extreme = null[index].reduce(0) { $0 + ($1 >= least ? 1 : 0) }
        return Double(1 + extreme) / Double(1 + null[index].count)
    }

    func mean(_ index: Int) -> Double {
        null[index].isEmpty ? 0 : null[index].reduce(0, +) / Double(null[index].count)
    }
}

/// Two of a table's groups, whose labels are exchanged with each other.
struct PairExchange: Sendable {
    private let documents: [Int]
    /// 0: of the first group; 1: of the second.
    private let exchange: LabelExchange

    init(_ table: DocumentTable, _ first: Int, _ second: Int) {
        documents = table.group.indices.filter { table.group[$0] == first || table.group[$0] == second }
        exchange = LabelExchange(
            labels: documents.map { table.group[$0] == first ? 0 : 1 }, design: table.design.restricted(to: documents))
    }

    /// What a statistic of two rows of sums, [2, C], is on average under permuted labels of each pair; 0 without permutations.
    /// - Parameters:
    ///   - table: has the documents that the pairs were made of.
    ///   - stream: the random numbers of a pair.
    static func means(
        _ pairs: [PairExchange], _ table: DocumentTable, settings: MetricSettings,
        _ statistic: @escaping TableStatistic,
        stream: (Int) -> UInt64
    ) -> [Double] {
        let count = max(0, settings.permutations)
        let streams = pairs.indices.map(stream)
        let size = 2 * table.columns
        let found = Parallel.rows(pairs.count * count, width: 1, threads: settings.threads) { place, result in
            let (pair, permutation) = place.quotientAndRemainder(dividingBy: count)
            let labels = pairs[pair].exchange(seed: settings.seed, stream: streams[pair], permutation: permutation)
            withUnsafeTemporaryAllocation(of: Double.self, capacity: size) { sums in
                sums.initialize(repeating: 0)
                table.add(documents: pairs[pair].documents, labels: labels, into: sums)
                statistic(UnsafeBufferPointer(sums), result)
            }
        }
        return pairs.indices.map { pair in
            count == 0 ? 0 : found[pair * count..<(pair + 1) * count].reduce(0, +) / Double(count)
        }
    }
}
