extension CoactivationMetric {
    public static func compute(_ input: MetricInput) -> CoactivationMetric {
        let E = input.sample.experts
        let P = E * (E - 1) / 2
        let hasIntervals = input.layers.allSatisfy(\.hasPairsPerDocument)
        var settings = input.settings
        if !hasIntervals { settings.bootstrap = 0 }
        var result: [Pair] = []
        for layer in input.layers {
            // Assignments and pairs side by side, all documents one group.
            let sums: [Double]
            let bootstrap: Bootstrap?
            if hasIntervals {
                let table = Self.table(input, layer, E, P)
                sums = table.sums
                bootstrap = Bootstrap(
                    table, settings: settings, stream: input.stream("coactivation", layer), width: E * E
                ) { sums, results in
                    for i in 0..<E {
                        for j in 0..<E where i != j {
                            let together = sums[E + layer.pairIndex(min(i, j), max(i, j))]
                            results[i * E + j] = sums[i] > 0 ? together / sums[i] : 0
                        }
                    }
                }
            } else {
                var all = [Double](repeating: 0, count: E + P)
                for (i, count) in layer.assignments.enumerated() { all[i % E] += count }
                for (i, count) in layer.pairs.enumerated() { all[E + i % P] += count }
                sums = all
                bootstrap = nil
            }
            for i in 0..<E {
                for j in 0..<E where i != j {
                    let together = sums[E + layer.pairIndex(min(i, j), max(i, j))]
                    let share = sums[i] > 0 ? bootstrap?.estimate(i * E + j) ?? Estimate(together / sums[i]) : nil
                    result.append(
                        Pair(
                            layer: layer.layer, expert: i, other: j, together: Int(together), count: Int(sums[i]),
                            share: share))
                }
            }
        }
        let K = Double(input.sample.expertsPerToken)
        let partners = input.settings.adjacentRanks ? 2 * (K - 1) / max(1, K) : K - 1
        return CoactivationMetric(
            sample: input.sample, uniform: E > 1 ? partners / Double(E - 1) : 0,
            pairs: result,
            note: hasIntervals ? nil : "no interval: too many pairs of experts to keep for every document")
    }

    private static func table(_ input: MetricInput, _ layer: LayerCounts, _ E: Int, _ P: Int) -> DocumentTable {
        var values: [Double] = []
        values.reserveCapacity(input.tokens.count * (E + P))
        let documents = input.tokens.indices.filter { input.tokens[$0] > 0 }
        for document in documents {
            values.append(contentsOf: layer.assignments[document * E..<(document + 1) * E])
            values.append(contentsOf: layer.pairs[document * P..<(document + 1) * P])
        }
        return DocumentTable(
            columns: E + P, groupCount: 1, group: [Int](repeating: 0, count: documents.count), values: values,
            design: input.design.restricted(to: documents))
    }
}
