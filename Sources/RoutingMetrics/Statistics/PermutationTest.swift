import Tensors

/// Relabelling documents as if the group meant nothing: what `SamplingDesign` says is exchangeable is exchanged.
struct LabelExchange: Sendable {
    /// Documents of each item, of each block; first the items outside blocks.
    private let blocks: [[[Int]]]
    private let labels: [Int]

    init(labels: [Int], design: SamplingDesign) {
        self.labels = labels
        var blocks: [Int: [Int: [Int]]] = [:]
        for document in labels.indices {
            blocks[design.block[document], default: [:]][design.item[document], default: []].append(document)
        }
        self.blocks = blocks.sorted { $0.key < $1.key }.map { $0.value.sorted { $0.key < $1.key }.map(\.value) }
            .filter { $0.count > 1 }
    }

    /// One relabelling.
    func callAsFunction(seed: UInt64, stream: UInt64, permutation: Int) -> [Int] {
        // Apart from the bootstrap's streams.
        var generator = SeededGenerator(seed: ~seed &+ stream, stream: UInt64(permutation))
        var result = labels
        for block in blocks {
            var exchanged = block.map { labels[$0[0]] }
            generator.shuffle(&exchanged)
            for (item, label) in zip(block, exchanged) { for document in item { result[document] = label } }
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
