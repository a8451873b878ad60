import Tensors

/// Paired differences of negative log-likelihood: the same documents, twice.
public enum PairedEffect {
    /// - Parameter values: of every document of the trace [D, 3]: sum of the first NLL, of the second, tokens.
    static func effects(_ input: MetricInput, _ values: [Double]) -> [AgreementMetric.Effect] {
        effects(values, groups: input.groups, groupOf: input.groupOf, settings: input.settings)
    }

    /// Effects for all documents and for every group.
    ///
    /// - Parameters:
    ///   - values: of every document [D, 3]: sum of the first NLL, of the second, tokens. Documents without tokens are left out.
    ///   - groupOf: of every document, a place in `groups`.
    public static func effects(
        _ values: [Double], groups: [String], groupOf: [Int], settings: MetricSettings
    ) -> [AgreementMetric.Effect] {
        let kept = groupOf.indices.filter { values[3 * $0 + 2] > 0 }
        let table = DocumentTable(
            columns: 3, groupCount: groups.count, group: kept.map { groupOf[$0] },
            values: kept.flatMap { values[3 * $0..<3 * $0 + 3] })
        let G = groups.count
        let bootstrap = Bootstrap(table, settings: settings, stream: 0x6e6c6c, width: G + 1) { sums, results in
            var difference = 0.0
            var tokens = 0.0
            for g in 0..<G {
                let own = sums[3 * g + 1] - sums[3 * g]
                results[g + 1] = sums[3 * g + 2] > 0 ? own / sums[3 * g + 2] : 0
                difference += own
                tokens += sums[3 * g + 2]
            }
            results[0] = tokens > 0 ? difference / tokens : 0
        }
        let sums = table.sums
        let strata = table.strata
        return (0...G).map { row in
            let members = row == 0 ? Array(0..<G) : [row - 1]
            let documents = members.flatMap { strata[$0] }
            let (first, second, tokens) = members.reduce((0.0, 0.0, 0.0)) {
                ($0.0 + sums[3 * $1], $0.1 + sums[3 * $1 + 1], $0.2 + sums[3 * $1 + 2])
            }
            let isLarge = documents.count >= max(2, settings.minimumDocuments)
            let differences = documents.map { table.values[3 * $0 + 1] - table.values[3 * $0] }
            return AgreementMetric.Effect(
                group: row == 0 ? RepetitionMetric.allGroups : groups[row - 1], documents: documents.count,
                tokens: Int(tokens), first: tokens > 0 ? first / tokens : 0, second: tokens > 0 ? second / tokens : 0,
                difference: isLarge ? bootstrap.estimate(row) : nil,
                pValue: isLarge ? signFlip(differences, settings: settings, stream: UInt64(row)) : nil)
        }
    }

    /// Two-sided p-value that differences centre on 0: their signs flipped at random, document by document.
    static func signFlip(_ differences: [Double], settings: MetricSettings, stream: UInt64) -> Double {
        let observed = abs(differences.reduce(0, +))
        let least = observed - 1e-12 * observed
        let sums = Parallel.rows(settings.permutations, width: 1, threads: settings.threads) { permutation, result in
            var generator = SeededGenerator(seed: ~settings.seed &+ stream, stream: UInt64(permutation))
            var sum = 0.0
            var bits: UInt64 = 0
            for (i, difference) in differences.enumerated() {
                if i % 64 == 0 { bits = generator.next() }
                sum += bits & 1 == 0 ? difference : -difference
                bits >>= 1
            }
            result[0] = abs(sum)
        }
        return Double(1 + sums.reduce(0) { $0 + ($1 >= least ? 1 : 0) }) / Double(1 + sums.count)
    }
}
