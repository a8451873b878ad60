import Foundation

/// Jensen–Shannon divergence in nats of two rows of counts.
func jensenShannon(_ a: UnsafeBufferPointer<Double>, _ b: UnsafeBufferPointer<Double>) -> Double {
    var totalA = 0.0
    var totalB = 0.0
    for i in 0..<a.count {
        totalA += a[i]
        totalB += b[i]
    }
    guard totalA > 0, totalB > 0 else { return 0 }
    var sum = 0.0
    for i in 0..<a.count {
        let p = a[i] / totalA
        let q = b[i] / totalB
        let m = (p + q) / 2
        if p > 0 { sum += p * log(p / m) }
        if q > 0 { sum += q * log(q / m) }
    }
    return max(0, sum / 2)
}

extension DivergenceMetric {
    /// - Throws: where fewer than two groups have enough documents.
    public static func compute(_ input: MetricInput) throws(MetricError) -> DivergenceMetric {
        let groups = try input.groupsToCompare(definition.name)
        let E = input.sample.experts
        let G = groups.count
        let combinations = (0..<G).flatMap { a in (a + 1..<max(a + 1, G)).map { (a, $0) } }
        let width = combinations.count + 1
        let statistic: TableStatistic = { sums, results in
            var total = 0.0
            for (place, pair) in combinations.enumerated() {
                let value = jensenShannon(
                    UnsafeBufferPointer(rebasing: sums[pair.0 * E..<(pair.0 + 1) * E]),
                    UnsafeBufferPointer(rebasing: sums[pair.1 * E..<(pair.1 + 1) * E]))
                results[place] = value
                total += value
            }
            results[combinations.count] = total / Double(combinations.count)
        }
        let single: TableStatistic = { sums, results in
            results[0] = jensenShannon(
                UnsafeBufferPointer(rebasing: sums[0..<E]), UnsafeBufferPointer(rebasing: sums[E..<2 * E]))
        }
        var pairs: [Pair] = []
        var layers: [Layer] = []
        let comparable = input.comparableGroups
        let tests = combinations.enumerated().map { place, pair -> ContrastTest? in
            let both = [groups[pair.0], groups[pair.1]]
            guard both.allSatisfy(comparable.contains) else { return nil }
            return input.contrastTest(both, targets: [0], stream: 1000 + UInt64(place))
        }
        let tested = Double(tests.count { $0 != nil })
        for (layerPlace, layer) in input.layers.enumerated() {
            let table = input.table(columns: E, values: layer.assignments).restricted(to: groups)
            let stream = input.stream(definition.name, layer)
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: stream, width: width, interval: { _ in .debiased }, statistic)
            let all = PermutationTest(table, settings: input.settings, stream: stream, width: width, statistic)
            layers.append(
                Layer(
                    layer: layer.layer, mean: bootstrap.estimate(width - 1, within: 0...log(2.0)),
                    nullMean: all.mean(width - 1)))
            for (place, pair) in combinations.enumerated() {
                let test = PermutationTest(
                    table.restricted(to: [pair.0, pair.1]), settings: input.settings,
                    stream: input.stream(definition.name, layer, place + 1), width: 1, single)
                let found = tests[place].flatMap { $0.smallest(layerPlace) }
                pairs.append(
                    Pair(
                        layer: layer.layer, groupA: input.groups[groups[pair.0]], groupB: input.groups[groups[pair.1]],
                        divergence: bootstrap.estimate(place, within: 0...log(2.0)), nullMean: test.mean(0),
                        pValue: found?.tableP,
                        adjustedP: (found?.adjustedP).map { min(1, $0 * tested) }))
            }
        }
        return DivergenceMetric(sample: input.sample, pairs: pairs, layers: layers)
    }
}
