import Foundation
import RoutingMetrics
import Tensors
import Traces

/// How often the interval of a column holds the truth: what the same metrics say of a trace with some twenty thousand documents of the
/// same process.
package struct Coverage: Sendable {
    /// A value that a trace estimates: a table's column, in the row of these layers, groups and experts.
    private struct Cell: Hashable {
        let table, column, row: String
    }

    private struct Interval {
        let value: Double
        let lower, upper: Double?
    }

    package let process: KnownProcess
    package var settings: MetricSettings
    private let truth: [Cell: Double]

    /// What is wanted of the intervals of a table's column: those that hold for all rows at once hold each more often.
    package static func wanted(_ subject: String) -> ClosedRange<Double> {
        0.93...(subject.hasSuffix(atOnce) ? 1 : 0.97)
    }

    private static let atOnce = ", at once"
    /// Tables and columns whose bounds hold for all rows at once.
    private let simultaneous: Set<String>

    /// Documents of the trace that tells the truth.
    private static let many = 40_000

    /// - Throws: where the trace that tells the truth cannot be written or read.
    package init(_ process: KnownProcess, bootstrap: Int = 300, permutations: Int = 99) throws {
        self.process = process
        settings = MetricSettings(bootstrap: bootstrap, permutations: permutations, minimumCount: 1, threads: 1)
        let documents = 2.0 * (process.clusterSizes.map { Double($0.lowerBound + $0.upperBound) / 2 } ?? 1)
        let whole = process.with(units: Int(Double(Self.many) / documents))
        let tables = try whole.withTraces(0) {
            try Self.tables($0, $1, MetricSettings(bootstrap: 0, permutations: 0, minimumCount: 1))
        }
        truth = try Self.values(tables)
        simultaneous = Set(
            tables.flatMap { table in
                table.columns.indices.dropLast().filter {
                    table.columns[$0 + 1].isForAll && !table.columns[$0].isForAll
                }
                .map { Self.subject(table.name, table.columns[$0].name) }
            })
    }

    private static func subject(_ table: String, _ column: String) -> String { "\(table) \(column)" }

    private static func tables(_ first: Trace, _ second: Trace, _ settings: MetricSettings) throws -> [MetricTable] {
        let input = try MetricInput(first, settings: settings)
        // A metric that does not apply, as that of parallel texts where there are none, has no tables.
        return try MetricCatalog.all.flatMap { (try? $0.compute(input).tables) ?? [] }
            + AgreementMetric.compare(first, second, settings: settings).tables
    }

    /// What tells the rows of a table apart.
    private static let names: Set = [
        "ahead", "decile", "expert", "group", "group_a", "group_b", "head", "layer", "length", "next_expert",
        "next_layer",
        "other", "path", "place",
        "policy", "pooled", "reference", "side", "slots", "unit",
    ]

    private static func row(_ table: MetricTable, _ cells: [MetricCell]) -> String {
        zip(table.columns, cells).filter { names.contains($0.0.name) }.map { "\($0.0.name) \($0.1.text)" }.sorted()
            .joined(separator: ", ")
    }

    private static func real(_ cell: MetricCell) -> Double? {
        if case .real(let value) = cell { value } else { nil }
    }

    /// Every number of the tables.
    /// - Throws: where two rows cannot be told apart.
    private static func values(_ tables: [MetricTable]) throws -> [Cell: Double] {
        var result: [Cell: Double] = [:]
        for table in tables
        where table.columns.contains(where: { $0.name.hasSuffix("_lower") }) || table.name == "domain-share" {
            for cells in table.rows {
                let row = row(table, cells)
                for (column, cell) in zip(table.columns, cells) where column.kind == .real {
                    guard let value = real(cell) else { continue }
                    let known = result.updateValue(
                        value, forKey: Cell(table: table.name, column: column.name, row: row))
                    guard known == nil else {
                        throw MetricError("coverage", "two rows of \(table.name) are alike: \(row)")
                    }
                }
            }
        }
        return result
    }

    /// Where the truth of a chosen expert is found: other tables have all experts.
    private static func source(_ cell: Cell) -> Cell {
        guard cell.table == "specialists" else { return cell }
        return switch cell.column {
        case "log_odds": Cell(table: "association", column: cell.column, row: cell.row)
        default: Cell(table: "domain-share", column: cell.column, row: cell.row)
        }
    }

    private static func intervals(_ tables: [MetricTable]) -> [Cell: Interval] {
        var result: [Cell: Interval] = [:]
        for table in tables {
            for (place, column) in table.columns.enumerated() where place + 2 < table.columns.count {
                guard table.columns[place + 1].name == column.name + "_lower" else { continue }
                // What a model fitted on so many documents tells: one fitted on more tells more.
                guard !table.name.hasPrefix("decoding") else { continue }
                for cells in table.rows {
                    guard let value = real(cells[place]) else { continue }
                    result[Cell(table: table.name, column: column.name, row: row(table, cells))] = Interval(
                        value: value, lower: real(cells[place + 1]), upper: real(cells[place + 2]))
                }
            }
        }
        return result
    }

    /// Traces with these numbers, side by side on all processors: for each table's column, intervals and those that hold the truth.
    package func rates(traces: Range<Int>, threads: Int? = nil) throws -> [Rate] {
        let cells =
            Array(truth.keys)
            + truth.keys.compactMap { cell -> Cell? in
                // Chosen experts have no row of their own in the truth.
                switch (cell.table, cell.column) {
                case ("association", "log_odds"), ("domain-share", "share"), ("domain-share", "elsewhere"):
                    Cell(table: "specialists", column: cell.column, row: cell.row)
                default: nil
                }
            }
        // 1 held, 0 not, -1 no interval, -2 an error.
        let found = Parallel.rows(traces.count, width: cells.count, threads: threads) { place, results in
            for i in 0..<cells.count { results[i] = -2 }
            guard let intervals = try? self.intervals(traces.lowerBound + place) else { return }
            for (i, cell) in cells.enumerated() {
                results[i] = -1
                guard let interval = intervals[cell], let lower = interval.lower, let upper = interval.upper,
                    let truth = truth[Self.source(cell)]
                else { continue }
                results[i] = lower <= truth && truth <= upper ? 1 : 0
            }
        }
        if let error = found.firstIndex(of: -2) {
            // Once more, for the error itself.
            _ = try intervals(traces.lowerBound + error / cells.count)
        }
        var result: [String: Rate] = [:]
        for (i, cell) in cells.enumerated() {
            let subject = Self.subject(cell.table, cell.column)
            let name = subject + (simultaneous.contains(subject) ? Self.atOnce : "")
            for trace in 0..<traces.count where found[trace * cells.count + i] >= 0 {
                result[name, default: Rate(scenario: process.name, subject: name)].count += 1
                if found[trace * cells.count + i] == 1 { result[name]?.hits += 1 }
            }
        }
        return result.values.sorted { $0.subject < $1.subject }
    }

    private func intervals(_ number: Int) throws -> [Cell: Interval] {
        try process.withTraces(number + 1) { Self.intervals(try Self.tables($0, $1, settings)) }
    }
}
