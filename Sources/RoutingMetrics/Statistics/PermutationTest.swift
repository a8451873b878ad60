import Tensors

/// What statistics look like when group labels mean nothing: labels permuted over documents, tokens left with theirs.
package struct PermutationTest: Sendable {
    /// The permuted values of each statistic: [statistics][permutations].
    private let null: [[Double]]

    package init(
        _ table: DocumentTable, settings: MetricSettings, stream: UInt64 = 0, width: Int,
        _ statistic: @escaping TableStatistic
    ) {
        let size = table.groupCount * table.columns
        let count = max(0, settings.permutations)
        let rows = Parallel.rows(count, width: width, threads: settings.threads) { permutation, results in
            // Apart from the bootstrap's streams.
            var generator = SeededGenerator(seed: ~settings.seed &+ stream, stream: UInt64(permutation))
            var labels = table.group
            for last in stride(from: labels.count - 1, to: 0, by: -1) {
                labels.swapAt(last, generator.below(last + 1))
            }
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

    func quantile(_ index: Int, _ probability: Double) -> Double {
        null[index].isEmpty ? 0 : RoutingMetrics.quantile(null[index].sorted(), probability)
    }
}
