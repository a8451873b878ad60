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
    /// With more pairs than this, a pair's mean over permuted labels is of `fewestPermutations`, and its test has to be able to tell
    /// something.
    static let manyPairs = 100
    static let fewestPermutations = 49

    /// Of many pairs, what `jensenShannon` gives of each but for rounding, and at last their mean: JSD(p, q) = H((p + q)/2) − (H(p) + H(q))/2,
    /// with every group's entropy taken once.
    private static func allPairs(
        _ sums: UnsafeBufferPointer<Double>, _ pairs: [(Int, Int)], _ E: Int,
        into results: UnsafeMutableBufferPointer<Double>
    ) {
        let G = sums.count / E
        withUnsafeTemporaryAllocation(of: Double.self, capacity: G * E + 2 * G) { scratch in
            scratch.initialize(repeating: 0)
            let shares = UnsafeMutableBufferPointer(rebasing: scratch[0..<G * E])
            let logs = UnsafeMutableBufferPointer(rebasing: scratch[G * E..<G * E + G])
            let sizes = UnsafeMutableBufferPointer(rebasing: scratch[(G * E + G)...])
            for g in 0..<G {
                var size = 0.0
                for e in 0..<E { size += sums[g * E + e] }
                sizes[g] = size
                guard size > 0 else { continue }
                for e in 0..<E {
                    let p = sums[g * E + e] / size
                    shares[g * E + e] = p
                    if p > 0 { logs[g] += p * log(p) }
                }
            }
            var total = 0.0
            for (place, (a, b)) in pairs.enumerated() {
                var middle = 0.0
                for e in 0..<E {
                    let m = (shares[a * E + e] + shares[b * E + e]) / 2
                    if m > 0 { middle += m * log(m) }
                }
                let value = sizes[a] > 0 && sizes[b] > 0 ? max(0, (logs[a] + logs[b]) / 2 - middle) : 0
                results[place] = value
                total += value
            }
            results[pairs.count] = total / Double(pairs.count)
        }
    }

    /// Whether permutations can tell that two groups differ: the smallest p-value they give, times the pairs, is below the level. Of
    /// many pairs none is tested otherwise; it would take long and say nothing.
    package static func canBeTold(_ pairs: Int, _ settings: MetricSettings) -> Bool {
        pairs <= manyPairs || Double(pairs) < (1 - settings.level) * Double(settings.permutations + 1)
    }

    /// - Throws: where fewer than two groups have enough documents.
    public static func compute(_ input: MetricInput) throws(MetricError) -> DivergenceMetric {
        let groups = try input.groupsToCompare(definition.name)
        let E = input.sample.experts
        let G = groups.count
        let combinations = (0..<G).flatMap { a in (a + 1..<max(a + 1, G)).map { (a, $0) } }
        let width = combinations.count + 1
        let isMany = combinations.count > manyPairs
        let statistic: TableStatistic = { sums, results in
            guard !isMany else { return allPairs(sums, combinations, E, into: results) }
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
        let canBeTold = canBeTold(comparable.count * (comparable.count - 1) / 2, input.settings)
        let tests = combinations.enumerated().map { place, pair -> ContrastTest? in
            let both = [groups[pair.0], groups[pair.1]]
            guard canBeTold, both.allSatisfy(comparable.contains) else { return nil }
            return input.contrastTest(both, targets: [0], stream: 1000 + UInt64(place))
        }
        let tested = Double(tests.count { $0 != nil })
        var nullSettings = input.settings
        if combinations.count > manyPairs {
            nullSettings.permutations = min(nullSettings.permutations, fewestPermutations)
        }
        var exchanges: [PairExchange] = []
        for (layerPlace, layer) in input.layers.enumerated() {
            let table = input.table(columns: E, values: layer.assignments).restricted(to: groups)
            // Documents and their groups are the same in all layers.
            if exchanges.isEmpty { exchanges = combinations.map { PairExchange(table, $0.0, $0.1) } }
            let stream = input.stream(definition.name, layer)
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: stream, width: width, interval: { _ in .debiased }, statistic)
            let all = PermutationTest(table, settings: input.settings, stream: stream, width: width, statistic)
            layers.append(
                Layer(
                    layer: layer.layer, mean: bootstrap.estimate(width - 1, within: 0...log(2.0)),
                    nullMean: all.mean(width - 1)))
            let nullMeans = PairExchange.means(exchanges, table, settings: nullSettings, single) {
                input.stream(definition.name, layer, $0 + 1)
            }
            for (place, pair) in combinations.enumerated() {
                let found = tests[place].flatMap { $0.smallest(layerPlace) }
                pairs.append(
                    Pair(
                        layer: layer.layer, groupA: input.groups[groups[pair.0]], groupB: input.groups[groups[pair.1]],
                        divergence: bootstrap.estimate(place, within: 0...log(2.0)), nullMean: nullMeans[place],
                        pValue: found?.tableP,
                        adjustedP: (found?.adjustedP).map { min(1, $0 * tested) }))
            }
        }
        return DivergenceMetric(sample: input.sample, pairs: pairs, layers: layers)
    }
}
