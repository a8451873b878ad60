import Tensors
import Traces

extension CoactivationMetric {
    public static func compute(_ input: MetricInput) throws(MetricError) -> CoactivationMetric {
        let hasIntervals = input.layers.allSatisfy(\.hasPairsPerDocument)
        // Which of a set's experts are of neighbouring rank, load does not say.
        let hasChance = hasIntervals && (!input.settings.adjacentRanks || input.sample.expertsPerToken <= 2)
        var result: [Pair] = []
        for layer in input.layers {
            if hasIntervals {
                result += pairs(input, layer, expected: hasChance ? try expectedPairs(input, layer) : nil)
            } else {
                result += pairs(layer)
            }
        }
        let adjusted = holm(result.map { $0.expert < $0.other ? $0.chance?.pValue : nil })
        var both: [[Int]: Double] = [:]
        for (pair, p) in zip(result, adjusted) where p != nil { both[[pair.layer, pair.expert, pair.other]] = p }
        for place in result.indices {
            let pair = result[place]
            result[place].chance?.adjustedP =
                both[[pair.layer, min(pair.expert, pair.other), max(pair.expert, pair.other)]]
        }
        let E = input.sample.experts
        let K = Double(input.sample.expertsPerToken)
        let partners = input.settings.adjacentRanks ? 2 * (K - 1) / max(1, K) : K - 1
        let note =
            hasIntervals
            ? hasChance ? nil : "no chance: the load does not say which experts are of neighbouring rank"
            : "no interval and no chance: too many pairs of experts to keep for every document"
        return CoactivationMetric(
            sample: input.sample, uniform: E > 1 ? partners / Double(E - 1) : 0, pairs: result, note: note)
    }

    /// Of all documents together, where pairs are not kept per document.
    private static func pairs(_ layer: LayerCounts) -> [Pair] {
        let E = layer.experts
        let P = E * (E - 1) / 2
        var loads = [Double](repeating: 0, count: E)
        var together = [Double](repeating: 0, count: P)
        for (i, count) in layer.assignments.enumerated() { loads[i % E] += count }
        for (i, count) in layer.pairs.enumerated() { together[i % P] += count }
        return ordered(E).map { i, j in
            let both = together[layer.pairIndex(min(i, j), max(i, j))]
            return Pair(
                layer: layer.layer, expert: i, other: j, together: Int(both), count: Int(loads[i]),
                share: loads[i] > 0 ? Estimate(both / loads[i]) : nil)
        }
    }

    /// - Parameter expected: [D, P]: pairs that chance gives; nil: not known.
    private static func pairs(_ input: MetricInput, _ layer: LayerCounts, expected: DocumentSums?) -> [Pair] {
        let E = layer.experts
        let P = E * (E - 1) / 2
        let documents = input.tokens.indices.filter { input.tokens[$0] > 0 }
        // Assignments, pairs and expected pairs side by side, all documents one group.
        let C = E + P + (expected == nil ? 0 : P)
        var values: [Double] = []
        values.reserveCapacity(documents.count * C)
        for document in documents {
            values.append(contentsOf: layer.assignments[document * E..<(document + 1) * E])
            values.append(contentsOf: layer.pairs[document * P..<(document + 1) * P])
            if let expected { values.append(contentsOf: expected.values[0][document * P..<(document + 1) * P]) }
        }
        let table = DocumentTable(
            columns: C, groupCount: 1, group: [Int](repeating: 0, count: documents.count), values: values,
            design: input.design.restricted(to: documents))
        let hasChance = expected != nil
        let bootstrap = Bootstrap(
            table, settings: input.settings, stream: input.stream("coactivation", layer),
            width: E * E + (hasChance ? P : 0)
        ) { sums, results in
            for i in 0..<E {
                for j in 0..<E where i != j {
                    let together = sums[E + layer.pairIndex(min(i, j), max(i, j))]
                    results[i * E + j] = sums[i] > 0 ? together / sums[i] : 0
                }
            }
            guard hasChance else { return }
            for pair in 0..<P {
                let chance = sums[E + P + pair]
                results[E * E + pair] = chance > 0 ? sums[E + pair] / chance : .nan
            }
        }
        let sums = table.sums
        let tests = (0..<(hasChance ? P : 0)).map { pair in
            sums[E + P + pair] > 0 ? test(table, input, pair, E, P) : nil
        }
        let count = P * input.layers.count
        return ordered(E).map { i, j in
            let place = layer.pairIndex(min(i, j), max(i, j))
            var pair = Pair(
                layer: layer.layer, expert: i, other: j, together: Int(sums[E + place]), count: Int(sums[i]),
                share: sums[i] > 0 ? bootstrap.estimate(i * E + j, within: 0...1) : nil)
            guard hasChance, sums[i] > 0, sums[E + P + place] > 0 else { return pair }
            pair.chance = ChanceComparison(
                expected: sums[E + P + place] / sums[i],
                ratio: bootstrap.estimate(E * E + place, within: 0...Double.infinity, among: count),
                pValue: tests[place]?.pValue)
            return pair
        }
    }

    private static func test(
        _ table: DocumentTable, _ input: MetricInput, _ pair: Int, _ E: Int, _ P: Int
    ) -> ChanceTest? {
        let (i, j) = experts(ofPair: pair, among: E)
        let values = table.values
        // A document's tokens are the same in every column.
        let tokens = input.tokens.filter { $0 > 0 }
        // What chance does not fix by the load: at least as in a table of two by two, or as for rare pairs.
        let least = (0..<table.documentCount).reduce(0.0) { sum, document in
            let row = document * table.columns
            let (a, b, n) = (values[row + i], values[row + j], Double(tokens[document]))
            let expected = values[row + E + P + pair]
            guard n > 1, a > 0, b > 0 else { return sum }
            let crossed = a * b * (n - a) * (n - b) / (n * n * (n - 1))
            return sum + min(crossed, max(0, expected * (1 - expected / min(a, b))))
        }
        return ChanceTest(0..<table.documentCount, leastVariance: least) { document in
            let row = document * table.columns
            return (
                values[row + E + pair] - values[row + E + P + pair], tokens[document] > 1 ? Double(tokens[document]) : 0
            )
        }
    }

    private static func ordered(_ E: Int) -> [(Int, Int)] {
        (0..<E).flatMap { i in (0..<E).filter { $0 != i }.map { (i, $0) } }
    }

    /// The inverse of `LayerCounts.pairIndex`.
    private static func experts(ofPair pair: Int, among E: Int) -> (Int, Int) {
        var (i, rest) = (0, pair)
        while rest >= E - 1 - i {
            rest -= E - 1 - i
            i += 1
        }
        return (i, i + 1 + rest)
    }

    /// Reads the shards again: chance needs the tokens' sets.
    /// - Returns: [D, P], how often two experts are chosen together where each document's load is all that is given.
    private static func expectedPairs(_ input: MetricInput, _ layer: LayerCounts) throws(MetricError) -> DocumentSums {
        let P = layer.experts * (layer.experts - 1) / 2
        let sums = DocumentSums(layers: 1, size: input.tokens.count * P)
        let seed = input.settings.seed &+ input.stream("coactivation", layer, 1)
        try input.forEachShard(definition.name) { shard in
            var read: [UInt16] = []
            shard.readExpertIndices(layerIndex: layer.layerIndex, into: &read)
            let chosen = read
            let documents = Array(shard.documents)
            Parallel.forEach(documents.count, threads: input.settings.threads) { place in
                let document = documents[place]
                var shuffle = FixedLoadShuffle(
                    chosen, rows: input.rows(document), slots: layer.slots, experts: layer.experts,
                    generator: SeededGenerator(seed: seed, stream: UInt64(document.index)))
                let start = document.index * P
                shuffle.pairs { i, j, weight in sums.values[0][start + layer.pairIndex(i, j)] += weight }
            }
        }
        return sums
    }
}
