import Tensors

/// Paired differences of negative log-likelihood: the same documents, twice.
public enum PairedEffect {
    /// Columns of a table of two sums of negative log-likelihood per document.
    enum Column {
        /// Sum of the first NLL, nats.
        static let first = 0
        /// Sum of the second NLL, nats.
        static let second = 1
        /// Tokens that both sums are over.
        static let tokens = 2
        static let count = 3
    }

    /// - Parameter values: [D, `Column.count`], a row for every document of the trace.
    static func effects(_ input: MetricInput, _ values: [Double]) -> [AgreementMetric.Effect] {
        effects(
            values, groups: input.groups, groupOf: input.groupOf, design: input.design, settings: input.settings)
    }

    /// Effects for all documents and for every group.
    ///
    /// - Parameters:
    ///   - first: each document's sum of negative log-likelihood, nats, before the change.
    ///   - second: the same after it.
    ///   - tokens: each document's tokens that the sums are over. Documents without tokens are left out.
    ///   - names: each document's group.
    ///   - design: which documents belong together; nil: every document stands by itself.
    /// - Returns: the pooled effect, then one per group, by name.
    package static func effects(
        first: [Double], second: [Double], tokens: [Int], groupOf names: [String], design: SamplingDesign? = nil,
        settings: MetricSettings
    ) -> [AgreementMetric.Effect] {
        let groups = Set(names).sorted()
        var values: [Double] = []
        values.reserveCapacity(names.count * Column.count)
        for i in names.indices { values += [first[i], second[i], Double(tokens[i])] }
        return effects(
            values, groups: groups, groupOf: names.map { groups.firstIndex(of: $0) ?? 0 },
            design: design ?? SamplingDesign(documents: names.count), settings: settings)
    }

    /// A row per effect.
    public static func table(_ effects: [AgreementMetric.Effect]) -> MetricTable {
        MetricTable(
            name: "paired", title: "Negative log-likelihood of the same tokens",
            columns: MetricColumn.groupOrPooled + [
                .documents, .tokens,
                MetricColumn("first", .real, unit: "nats", "mean NLL in the first trace"),
                MetricColumn("second", .real, unit: "nats", "mean NLL in the second"),
            ] + MetricColumn.estimate("difference", unit: "nats", "second less first, paired") + [
                MetricColumn(
                    "p_value", .real, "two-sided, signs flipped over documents, or over what belongs together"), .note,
            ],
            rows: effects.map {
                $0.group.cells
                    + [.integer($0.documents), .integer($0.tokens), .real($0.first), .real($0.second)]
                    + $0.difference.cells
                    + [.optional($0.pValue), $0.difference == nil ? .text("too few documents") : .missing]
            })
    }

    /// - Parameters:
    ///   - values: [D, `Column.count`].
    ///   - groupOf: each document's place in `groups`.
    private static func effects(
        _ values: [Double], groups: [String], groupOf: [Int], design: SamplingDesign, settings: MetricSettings
    ) -> [AgreementMetric.Effect] {
        let C = Column.count
        let kept = groupOf.indices.filter { values[C * $0 + Column.tokens] > 0 }
        let table = DocumentTable(
            columns: C, groupCount: groups.count, group: kept.map { groupOf[$0] },
            values: kept.flatMap { values[C * $0..<C * ($0 + 1)] }, design: design.restricted(to: kept))
        let G = groups.count
        let bootstrap = Bootstrap(table, settings: settings, stream: 0x6e6c6c, width: G + 1) { sums, results in
            var difference = 0.0
            var tokens = 0.0
            for g in 0..<G {
                let own = sums[C * g + Column.second] - sums[C * g + Column.first]
                results[g + 1] = sums[C * g + Column.tokens] > 0 ? own / sums[C * g + Column.tokens] : 0
                difference += own
                tokens += sums[C * g + Column.tokens]
            }
            results[0] = tokens > 0 ? difference / tokens : 0
        }
        let sums = table.sums
        let strata = table.documentsByGroup
        return (0...G).map { row in
            let members = row == 0 ? Array(0..<G) : [row - 1]
            let documents = members.flatMap { strata[$0] }
            func sum(_ column: Int) -> Double { members.reduce(0.0) { $0 + sums[C * $1 + column] } }
            let (first, second, tokens) = (sum(Column.first), sum(Column.second), sum(Column.tokens))
            let isLarge = documents.count >= max(2, settings.minimumDocuments)
            // Signs are flipped for what is resampled as a whole.
            let differences = table.design.sums(documents) {
                table.values[C * $0 + Column.second] - table.values[C * $0 + Column.first]
            }
            return AgreementMetric.Effect(
                group: row == 0 ? .pooled : .group(groups[row - 1]), documents: documents.count,
                tokens: Int(tokens), first: tokens > 0 ? first / tokens : 0, second: tokens > 0 ? second / tokens : 0,
                difference: isLarge ? bootstrap.estimate(row) : nil,
                pValue: isLarge ? signFlip(differences, settings: settings, stream: UInt64(row)) : nil)
        }
    }

    /// ΔNLL per unit of routed weight, a ratio of sums, for all documents and for every group.
    ///
    /// - Parameters:
    ///   - differences: each document's sum, nats.
    ///   - weights: each document's sum of the mixing weights that were taken away.
    ///   - tokens: documents without tokens are left out.
    ///   - names: each document's group.
    /// - Returns: nothing for a group with too few documents, or without weight.
    static func perWeight(
        _ differences: [Double], weights: [Double], tokens: [Int], groupOf names: [String], design: SamplingDesign,
        settings: MetricSettings
    ) -> [GroupKey: Estimate] {
        let groups = Set(names).sorted()
        let kept = names.indices.filter { tokens[$0] > 0 }
        let G = groups.count
        let table = DocumentTable(
            columns: 2, groupCount: G, group: kept.map { groups.firstIndex(of: names[$0]) ?? 0 },
            values: kept.flatMap { [differences[$0], weights[$0]] }, design: design.restricted(to: kept))
        let bootstrap = Bootstrap(table, settings: settings, stream: 0x6e6c6c, width: G + 1) { sums, results in
            var (difference, weight) = (0.0, 0.0)
            for g in 0..<G {
                results[g + 1] = sums[2 * g + 1] > 0 ? sums[2 * g] / sums[2 * g + 1] : .nan
                difference += sums[2 * g]
                weight += sums[2 * g + 1]
            }
            results[0] = weight > 0 ? difference / weight : .nan
        }
        let documents = [kept.count] + table.documentsByGroup.map(\.count)
        return (0...G).reduce(into: [:]) { found, row in
            guard documents[row] >= max(2, settings.minimumDocuments), bootstrap.values[row].isFinite else { return }
            found[row == 0 ? .pooled : .group(groups[row - 1])] = bootstrap.estimate(row)
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
