import Foundation

extension LoadMetric {
    /// How unevenly counts are spread over experts.
    struct Balance {
        var coefficientOfVariation = 0.0
        var gini = 0.0
        var maxOverMean = 0.0
        var balancedness = 0.0
        var entropy = 0.0

        /// - Parameter counts: per expert, in any order.
        init(_ counts: [Double]) {
            let E = Double(counts.count)
            let total = counts.reduce(0, +)
            guard total > 0 else { return }
            let mean = total / E
            var variance = 0.0
            for count in counts { variance += (count - mean) * (count - mean) / E }
            coefficientOfVariation = variance.squareRoot() / mean
            let sorted = counts.sorted()
            // Σ_i (2i − E − 1) x_i / (E Σ x), i from 1: the double sum of differences in one pass.
            var weighted = 0.0
            for (i, count) in sorted.enumerated() { weighted += (2 * Double(i + 1) - E - 1) * count }
            gini = weighted / (E * total)
            maxOverMean = (sorted.last ?? 0) / mean
            balancedness = 1 / maxOverMean
            entropy = counts.count > 1 ? RoutingMetrics.entropy(counts) / log(E) : 1
        }
    }

    public static func compute(_ input: MetricInput) -> LoadMetric {
        let E = input.sample.experts
        let layers = input.layers.map { layer in
            let table = input.table(columns: E, values: layer.assignments)
            let G = table.groupCount
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream("load", layer), width: E + 4,
                interval: { $0 < E ? .accelerated : .debiased }
            ) { sums, results in
                var counts = [Double](repeating: 0, count: E)
                for group in 0..<G { for e in 0..<E { counts[e] += sums[group * E + e] } }
                let total = counts.reduce(0, +)
                for e in 0..<E { results[e] = total > 0 ? counts[e] / total : 0 }
                let balance = Balance(counts)
                // Squares, whose bias from noise does not depend on how far from balance the truth is.
                let excess = balance.maxOverMean - 1
                results[E] = balance.coefficientOfVariation * balance.coefficientOfVariation
                results[E + 1] = balance.gini * balance.gini
                results[E + 2] = excess * excess
                results[E + 3] = balance.entropy
            }
            var counts = [Int](repeating: 0, count: E)
            for (i, count) in layer.assignments.enumerated() { counts[i % E] += Int(count) }
            func root(_ square: Double) -> Double { max(0, square).squareRoot() }
            let balance = Balance(counts.map(Double.init))
            return Layer(
                layer: layer.layer, assignments: counts.reduce(0, +),
                coefficientOfVariation: bootstrap.estimate(E, value: balance.coefficientOfVariation, through: root),
                gini: bootstrap.estimate(E + 1, value: balance.gini, through: root),
                maxOverMean: bootstrap.estimate(E + 2, value: balance.maxOverMean, among: input.layers.count) {
                    1 + root($0)
                },
                balancedness: bootstrap.estimate(E + 2, value: balance.balancedness) { 1 / (1 + root($0)) },
                entropy: bootstrap.estimate(E + 3) { min(1, $0) },
                deadExperts: (0..<E).filter { counts[$0] == 0 },
                experts: (0..<E).map {
                    Expert(expert: $0, count: counts[$0], share: bootstrap.estimate($0, within: 0...1))
                })
        }
        return LoadMetric(sample: input.sample, layers: layers)
    }
}
