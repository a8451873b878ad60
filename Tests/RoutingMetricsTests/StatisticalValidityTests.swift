import Foundation
import RoutingMetrics
import Tensors
import Testing
import Tensors

/// Synthetic documents with a known truth: do intervals cover it, are p-values uniform where nothing is there?
@Suite struct StatisticalValidityTests {
    static let experts = 4
    static let groups = 2
    static let documentsPerGroup = 60

    /// [D, E] counts: every document has a distribution of its own around its group's, so tokens of one document are
    /// not independent.
    private func documents(_ shares: [[Double]], noise: Double, seed: Int) -> DocumentTable {
        var generator = SeededGenerator(seed: 7, stream: UInt64(seed))
        func normal() -> Double {
            let u = Double(generator.next() >> 11) / 9_007_199_254_740_992 + 1e-300
            let v = Double(generator.next() >> 11) / 9_007_199_254_740_992
            return (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
        }
        let E = Self.experts
        var values: [Double] = []
        var labels: [Int] = []
        for group in 0..<Self.groups {
            for _ in 0..<Self.documentsPerGroup {
                // Noise of mean 0 that keeps the sum: what one expert gets, its neighbour loses.
                var own = shares[group]
                for e in 0..<E {
                    let moved = noise * normal() * min(own[e], own[(e + 1) % E])
                    own[e] += moved
                    own[(e + 1) % E] -= moved
                }
                own = own.map { max($0, 0) }
                let total = own.reduce(0, +)
                var counts = [Double](repeating: 0, count: E)
                for _ in 0..<20 + generator.below(40) {
                    var place = Double(generator.next() >> 11) / 9_007_199_254_740_992 * total
                    var e = 0
                    while e < E - 1, place >= own[e] {
                        place -= own[e]
                        e += 1
                    }
                    counts[e] += 1
                }
                values += counts
                labels.append(group)
            }
        }
        return DocumentTable(columns: E, groupCount: Self.groups, group: labels, values: values)
    }

    private static let information: TableStatistic = { sums, results in
        results[0] = TableInformation(sums, rows: groups, columns: experts).corrected
    }

    /// Share of the first group's assignments at each expert, then the information.
    private static let everything: TableStatistic = { sums, results in
        let total = (0..<experts).reduce(0) { $0 + sums[$1] }
        for e in 0..<experts { results[e] = sums[e] / total }
        results[experts] = TableInformation(sums, rows: groups, columns: experts).corrected
    }

    @Test func intervalsCoverTheTruth() {
        let shares = [[0.4, 0.3, 0.2, 0.1], [0.15, 0.2, 0.3, 0.35]]
        let joint = shares.flatMap { $0.map { $0 * 1000 } }
        let truth = joint.withUnsafeBufferPointer {
            TableInformation($0, rows: Self.groups, columns: Self.experts).plugIn
        }
        let trials = 1000
        // One thread per trial; trials side by side.
        let settings = MetricSettings(bootstrap: 400, threads: 1)
        let hits = Parallel.rows(trials, width: 3, threads: nil) { trial, hits in
            let table = documents(shares, noise: 0.3, seed: trial)
            let percentile = Bootstrap(
                table, settings: settings, stream: UInt64(trial), width: Self.experts + 1, Self.everything)
            let accelerated = Bootstrap(
                table, settings: settings, stream: UInt64(trial), width: Self.experts + 1,
                interval: { _ in .accelerated },
                Self.everything)
            let debiased = Bootstrap(
                table, settings: settings, stream: UInt64(trial), width: 1, interval: { _ in .debiased },
                Self.information)
            func covers(_ estimate: Estimate, _ truth: Double) -> Double {
                (estimate.lower ?? .infinity) <= truth && truth <= (estimate.upper ?? -.infinity) ? 1 : 0
            }
            hits[0] = covers(percentile.estimate(0), 0.4)
            hits[1] = covers(accelerated.estimate(3), 0.1)
            hits[2] = covers(debiased.estimate(0), truth)
        }
        for (column, name) in ["percentile, share", "BCa, share", "debiased, information"].enumerated() {
            let coverage = (0..<trials).reduce(0) { $0 + hits[$1 * 3 + column] } / Double(trials)
            #expect((0.93...0.97).contains(coverage), "\(name): \(coverage)")
        }
    }

    @Test func pValuesAreUniformUnderTheNull() {
        let shares = [[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]]
        let settings = MetricSettings(permutations: 199, threads: 1)
        let trials = 400
        let pValues = Parallel.rows(trials, width: 1, threads: nil) { trial, result in
            let table = documents(shares, noise: 0.3, seed: 10_000 + trial)
            let value = Bootstrap(table, settings: MetricSettings(bootstrap: 0), width: 1, Self.information).values[0]
            result[0] = PermutationTest(
                table, settings: settings, stream: UInt64(trial), width: 1, Self.information
            ).pValue(0, value)
        }.sorted()
        // Kolmogorov–Smirnov, asymptotic distribution; p-values are multiples of 1/200, which makes it conservative.
        let n = Double(trials)
        var distance = 0.0
        for (i, p) in pValues.enumerated() {
            distance = max(distance, Double(i + 1) / n - p, p - 1.0 / 200 - Double(i) / n)
        }
        let lambda = (n.squareRoot() + 0.12 + 0.11 / n.squareRoot()) * distance
        var significance = 0.0
        for k in 1...100 { significance += 2 * (k % 2 == 1 ? 1 : -1) * exp(-2 * Double(k * k) * lambda * lambda) }
        #expect(significance > 0.01, "distance \(distance)")
        // The level is kept.
        let rejected = Double(pValues.prefix { $0 <= 0.05 }.count) / n
        #expect((0.02...0.08).contains(rejected))
    }

    @Test func plantedEffectsAreFound() {
        let shares = [[0.4, 0.3, 0.2, 0.1], [0.33, 0.3, 0.24, 0.13]]
        let settings = MetricSettings(permutations: 199, threads: 1)
        let trials = 100
        let found = Parallel.rows(trials, width: 1, threads: nil) { trial, result in
            let table = documents(shares, noise: 0.2, seed: 20_000 + trial)
            let value = Bootstrap(table, settings: MetricSettings(bootstrap: 0), width: 1, Self.information).values[0]
            result[0] =
                PermutationTest(
                    table, settings: settings, stream: UInt64(trial), width: 1, Self.information
                ).pValue(0, value) <= 0.05 ? 1 : 0
        }
        #expect(found.reduce(0, +) / Double(trials) > 0.8)
    }
}
