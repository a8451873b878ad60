import Calibration
import Foundation
import RoutingMetrics
import Tensors
import Testing
import Traces

/// Every interval and every p-value that any metric prints, on traces drawn from a known process: do intervals cover the
/// truth, are p-values uniform where there is nothing? The whole calculation, reading included; prints what it found.
@Suite struct CoverageTests {
    /// A reduced `moescope calibrate --coverage`.
    @Test func intervalsCoverTheTruth() throws {
        let trials = 1000
        let process = KnownProcess("40 documents", units: 40)
        let rates = try Coverage(process, permutations: 0).rates(traces: 0..<trials)
        #expect(rates.count >= 30, "\(rates.map(\.subject))")
        for found in rates {
            print("coverage \(found.subject): \(found.rate) of \(found.count)")
            #expect(found.count >= trials / 2, "\(found.subject): only \(found.count) intervals")
            #expect(Coverage.wanted(found.subject).contains(found.rate), "\(found.subject): \(found.rate)")
        }
    }

    /// One row of each table and trial, so that p-values are independent.
    @Test func pValuesKeepTheirLevelWithoutGroups() throws {
        let trials = 400
        let settings = MetricSettings(bootstrap: 0, permutations: 199, minimumCount: 5, threads: 1)
        let process = KnownProcess("groups alike", units: 15, groupEffect: 0)
        @Sendable func tables(_ number: Int) throws -> [MetricTable] {
            try process.withTraces(number) { first, second in
                let input = try MetricInput(first, settings: settings)
                return try MetricCatalog.all.flatMap { try $0.compute(input).tables }
                    + AgreementMetric.compare(first, second, settings: settings).tables
            }
        }
        @Sendable func real(_ cell: MetricCell) -> Double { if case .real(let value) = cell { value } else { .nan } }
        let columns: [String] = try tables(trials).filter { $0.columns.contains { $0.name == "p_value" } }.map(\.name)
        #expect(columns.count >= 8, "\(columns)")
        let values = Parallel.rows(trials, width: columns.count, threads: nil) { trial, results in
            let tables = try? tables(trial)
            for (place, name) in columns.enumerated() {
                results[place] = .nan
                guard let table = tables?.first(where: { $0.name == name }), !table.rows.isEmpty,
                    let column = table.columns.firstIndex(where: { $0.name == "p_value" })
                else { continue }
                results[place] = real(table.rows[trial * 7 % table.rows.count][column])
            }
        }
        for (place, name) in columns.enumerated() {
            let p = (0..<trials).map { values[$0 * columns.count + place] }.filter(\.isFinite).sorted()
            #expect(p.count == trials, "\(name)")
            let significance = Self.kolmogorovSmirnov(p, step: 1.0 / 200)
            let rejected = Double(p.prefix { $0 <= 0.05 }.count) / Double(p.count)
            print("p-values \(name): KS p \(significance), \(rejected) at 0.05")
            // Comparisons of groups report the larger of two p-values, for many cells at once: below 0.05 at most as often as they say.
            #expect(rejected <= 0.08, "\(name): \(rejected)")
            guard name == "agreement-nll" else { continue }
            #expect(significance > 0.01, "\(name)")
            #expect(rejected >= 0.02, "\(name): \(rejected)")
        }
    }

    /// P-value of the distance of rising p-values, multiples of `step`, from uniform; asymptotic, conservative for steps.
    private static func kolmogorovSmirnov(_ sorted: [Double], step: Double) -> Double {
        let n = Double(sorted.count)
        var distance = 0.0
        for (i, p) in sorted.enumerated() { distance = max(distance, Double(i + 1) / n - p, p - step - Double(i) / n) }
        let lambda = (n.squareRoot() + 0.12 + 0.11 / n.squareRoot()) * distance
        var significance = 0.0
        for k in 1...100 { significance += 2 * (k % 2 == 1 ? 1 : -1) * exp(-2 * Double(k * k) * lambda * lambda) }
        return significance
    }
}
