import Foundation
import RoutingMetrics
import Testing
import Traces
import Tensors

/// Every interval and every p-value that any metric prints, on traces drawn from a known process: do intervals cover the
/// truth, are p-values uniform where there is nothing? The whole calculation, reading included; prints what it found.
@Suite struct CoverageTests {
    /// A value that a trace estimates: table, column, row.
    private struct Cell: Hashable {
        let table, column: String
        let row: Int
    }

    private static func tables(_ first: Trace, _ second: Trace, _ settings: MetricSettings) throws -> [MetricTable] {
        let input = try MetricInput(first, settings: settings)
        return try MetricCatalog.all.flatMap { try $0.compute(input).tables }
            + AgreementMetric.compare(first, second, settings: settings).tables
    }

    private static func differing(_ documents: Int, seed: Int) -> SyntheticTrace {
        SyntheticTrace(documentsPerGroup: documents, groupEffect: 0.8, seed: seed)
    }

    private static func alike(seed: Int) -> SyntheticTrace {
        SyntheticTrace(documentsPerGroup: 15, groupEffect: 0, seed: seed)
    }

    private static func real(_ cell: MetricCell) -> Double? {
        if case .real(let value) = cell { value } else { nil }
    }

    /// Value and bounds of every estimate in the tables.
    private static func estimates(_ tables: [MetricTable]) -> [Cell: (value: Double, lower: Double?, upper: Double?)] {
        var result: [Cell: (value: Double, lower: Double?, upper: Double?)] = [:]
        for table in tables {
            for (index, column) in table.columns.enumerated() where index + 2 < table.columns.count {
                guard table.columns[index + 1].name == column.name + "_lower" else { continue }
                // What a model fitted on so many documents tells: one fitted on more tells more. `DecodingTests` judges it.
                guard !table.name.hasPrefix("decoding") else { continue }
                for (row, cells) in table.rows.enumerated() {
                    guard let value = real(cells[index]) else { continue }
                    result[Cell(table: table.name, column: column.name, row: row)] = (
                        value, real(cells[index + 1]), real(cells[index + 2])
                    )
                }
            }
        }
        return result
    }

    /// The truth is what the same metrics say of a trace with five hundred times the documents.
    @Test func intervalsCoverTheTruth() throws {
        // Counts a token needs, in proportion, so that the same tokens are looked at.
        let documents = 40
        let truth = Self.estimates(
            try Self.differing(500 * documents, seed: 0).with {
                try Self.tables($0, $1, MetricSettings(bootstrap: 0, permutations: 0, minimumCount: 1))
            })
        let cells = Array(truth.keys)
        let trials = 1000
        let settings = MetricSettings(bootstrap: 300, permutations: 0, minimumCount: 1, threads: 1)
        // 1 covered, 0 not, -1 no interval.
        let hits = Parallel.rows(trials, width: cells.count, threads: nil) { trial, hits in
            let found = try? Self.differing(documents, seed: 1 + trial).with {
                Self.estimates(try Self.tables($0, $1, settings))
            }
            for (place, cell) in cells.enumerated() {
                hits[place] = -1
                guard let estimate = found?[cell], let lower = estimate.lower, let upper = estimate.upper else {
                    continue
                }
                hits[place] = lower <= truth[cell]?.value ?? .nan && truth[cell]?.value ?? .nan <= upper ? 1 : 0
            }
        }
        var byColumn: [String: (hits: Double, count: Double)] = [:]
        for (place, cell) in cells.enumerated() {
            for trial in 0..<trials where hits[trial * cells.count + place] >= 0 {
                byColumn["\(cell.table) \(cell.column)", default: (0, 0)].hits += hits[trial * cells.count + place]
                byColumn["\(cell.table) \(cell.column)", default: (0, 0)].count += 1
            }
        }
        #expect(byColumn.count >= 30, "\(byColumn.keys.sorted())")
        for (column, found) in byColumn.sorted(by: { $0.key < $1.key }) {
            let coverage = found.hits / found.count
            print("coverage \(column): \(coverage) of \(Int(found.count))")
            #expect(found.count >= Double(trials) / 2, "\(column): intervals in \(found.count) cells only")
            // Bounds that hold for all layers, or all cells, at once cover more.
            let isSimultaneous = column.hasSuffix("excess") || column.hasPrefix("specialists")
            #expect((0.93...(isSimultaneous ? 1 : 0.97)).contains(coverage), "\(column): \(coverage)")
        }
    }

    /// One row of each table and trial, so that p-values are independent.
    @Test func pValuesKeepTheirLevelWithoutGroups() throws {
        let trials = 400
        let settings = MetricSettings(bootstrap: 0, permutations: 199, minimumCount: 5, threads: 1)
        let columns: [String] = try Self.alike(seed: 0).with { first, second in
            try Self.tables(first, second, settings).filter { $0.columns.contains { $0.name == "p_value" } }.map(\.name)
        }
        #expect(columns.count >= 8, "\(columns)")
        let values = Parallel.rows(trials, width: columns.count, threads: nil) { trial, results in
            let tables = try? Self.alike(seed: 50_000 + trial).with { try Self.tables($0, $1, settings) }
            for (place, name) in columns.enumerated() {
                results[place] = .nan
                guard let table = tables?.first(where: { $0.name == name }), !table.rows.isEmpty,
                    let column = table.columns.firstIndex(where: { $0.name == "p_value" })
                else { continue }
                results[place] = Self.real(table.rows[trial * 7 % table.rows.count][column]) ?? .nan
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
