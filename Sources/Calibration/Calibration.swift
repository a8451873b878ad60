import Foundation
import RoutingMetrics
import Tensors

extension Rate {
    /// Upper bound of the rate, exact, one-sided at 97.5 % (Clopper & Pearson 1934); 1 where nothing was tried.
    package var upper: Double {
        guard count > hits else { return 1 }
        var (low, high) = (rate, 1.0)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if Self.atMost(hits, of: count, middle) > 0.025 { low = middle } else { high = middle }
        }
        return high
    }

    /// P(X ≤ k), X binomial.
    private static func atMost(_ k: Int, of n: Int, _ p: Double) -> Double {
        var term = Double(n) * log1p(-p)
        var sum = exp(term)
        for i in 0..<k {
            term += log(Double(n - i) / Double(i + 1)) + log(p) - log1p(-p)
            sum += exp(term)
        }
        return sum
    }
}

extension DetectableEffect {
    /// - Parameter rates: of the planted scenarios.
    package static func all(_ scenarios: [Scenario], _ rates: [Rate]) -> [DetectableEffect] {
        var result: [DetectableEffect] = []
        for sentence in Sentence.allCases {
            let own = scenarios.filter { $0.isFound(by: sentence) }
            for documents in Set(own.map(\.documentsPerSource)).sorted() {
                let tried = own.filter { $0.documentsPerSource == documents }.sorted { $0.effect < $1.effect }
                let shares = tried.map { scenario in
                    rates.first { $0.scenario == scenario.name && $0.subject == sentence.rawValue }?.rate ?? 0
                }
                var effect: Double?
                if let place = shares.firstIndex(where: { $0 >= 0.8 }) {
                    let (below, least) = place > 0 ? (shares[place - 1], tried[place - 1].effect) : (0, 0)
                    effect = least + (0.8 - below) / (shares[place] - below) * (tried[place].effect - least)
                }
                result.append(
                    .init(
                        sentence: sentence.rawValue, planted: tried[0].about, documents: documents,
                        effect: effect))
            }
        }
        return result
    }
}

/// Draws traces and counts the sentences that are printed of them.
package struct Calibration: Sendable {
    package var settings: MetricSettings
    package var sentences: [Sentence]

    package init(permutations: Int = 199, bootstrap: Int = 199, sentences: [Sentence] = Sentence.allCases) {
        settings = MetricSettings(bootstrap: bootstrap, permutations: permutations, minimumCount: 5, threads: 1)
        self.sentences = sentences
    }

    /// Traces with these numbers, side by side on all processors.
    package func rates(_ scenario: Scenario, traces: Range<Int>, threads: Int? = nil) throws -> [Rate] {
        let width = sentences.count
        // 1 printed, 0 not, -1 the documents cannot tell, -2 an error.
        let found = Parallel.rows(traces.count, width: width, threads: threads) { place, results in
            for i in 0..<width { results[i] = -2 }
            try? scenario.withTrace(traces.lowerBound + place) { trace in
                let input = try MetricInput(trace, settings: settings)
                for (i, sentence) in sentences.enumerated() {
                    // What is planted and cannot be told is not found.
                    let unknown: Double = scenario.isFound(by: sentence) ? 0 : -1
                    results[i] = try sentence.isPrinted(input).map { $0 ? 1 : 0 } ?? unknown
                }
            }
        }
        if found.contains(-2) {
            // Once more, for the error itself.
            try scenario.withTrace((found.firstIndex(of: -2) ?? 0) / width + traces.lowerBound) { trace in
                let input = try MetricInput(trace, settings: settings)
                for sentence in sentences { _ = try sentence.isPrinted(input) }
            }
        }
        return sentences.enumerated().map { i, sentence in
            let own = traces.indices.map { found[($0 - traces.lowerBound) * width + i] }
            return Rate(
                scenario: scenario.name, subject: sentence.rawValue, count: own.count { $0 >= 0 },
                hits: own.count { $0 == 1 })
        }
    }
}
