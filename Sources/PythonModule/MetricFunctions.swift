import CPython
import Foundation
import RoutingMetrics
import Traces

/// `_moescope.metric`, `_moescope.compare`, `_moescope.paired` and `_moescope.metric_definitions`.
enum MetricFunctions {
    /// Settings as Python names them; what is left out has the default of `MetricSettings`.
    struct Settings: Decodable {
        var by: MetricSettings.Grouping?
        var positions: MetricSettings.Positions?
        var layers: [Int]?
        var skip: Int?
        var bootstrap: Int?
        var permutations: Int?
        var level: Double?
        var minimum_documents: Int?
        var seed: UInt64?
        var reference: String?
        var threshold: Double?
        var minimum_count: Int?
        var adjacent_ranks: Bool?
        var threads: Int?

        func settings() throws(PythonError) -> MetricSettings {
            for (name, value) in [
                ("skip", skip), ("bootstrap", bootstrap), ("permutations", permutations),
                ("minimum_documents", minimum_documents), ("minimum_count", minimum_count),
            ] {
                if let value, value < 0 { throw .value("\(name): expected 0 or more, found \(value)") }
            }
            if let level, !(level > 0 && level < 1) { throw .value("level: expected between 0 and 1, found \(level)") }
            if let threads, threads < 1 { throw .value("threads: expected at least 1, found \(threads)") }
            var settings = MetricSettings()
            if let by { settings.grouping = by }
            if let positions { settings.positions = positions }
            settings.layers = layers
            if let skip { settings.skippedPositions = skip }
            if let bootstrap { settings.bootstrap = bootstrap }
            if let permutations { settings.permutations = permutations }
            settings.adaptsBootstrap = bootstrap == nil
            settings.adaptsPermutations = permutations == nil
            if let level { settings.level = level }
            if let minimum_documents { settings.minimumDocuments = minimum_documents }
            if let seed { settings.seed = seed }
            settings.reference = reference
            if let threshold { settings.threshold = threshold }
            if let minimum_count { settings.minimumCount = minimum_count }
            if let adjacent_ranks { settings.adjacentRanks = adjacent_ranks }
            settings.threads = threads
            return settings
        }
    }

    /// `metric(trace, name, settings as JSON) -> list of Table`
    static func metric(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 3...3)
        let open = try types.trace.payload(of: try arguments[0])
        let name = try FromPython.string(try arguments[1], "name")
        let settings = try FromPython.json(Settings.self, try arguments[2], "settings").settings()
        let metric = try translating { try MetricCatalog.named(name) }
        return try tables { try metric.compute(try open.input(settings)) }
    }

    /// `compare(traces, settings as JSON) -> list of Table`: agreement of two, saturation of more.
    static func compare(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let series = try FromPython.list(try arguments[0], "traces") { (object) throws(PythonError) in
            try types.trace.payload(of: object).trace
        }
        guard series.count > 1 else { throw .value("compare: expected two traces or more, found \(series.count)") }
        let settings = try FromPython.json(Settings.self, try arguments[1], "settings").settings()
        return try tables {
            if series.count == 2 {
                return try AgreementMetric.compare(series[0], series[1], settings: settings)
            }
            return try SaturationMetric.compare(series, settings: settings)
        }
    }

    /// Two sums of negative log-likelihood for each document.
    private struct Pairs: Decodable {
        var first: [Double]
        var second: [Double]
        var tokens: [Int]
        var groups: [String]
    }

    /// `paired(documents as JSON, settings as JSON) -> Table`: effects of a change on every group, paired by document.
    static func paired(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let pairs = try FromPython.json(Pairs.self, try arguments[0], "documents")
        let settings = try FromPython.json(Settings.self, try arguments[1], "settings").settings()
        for (name, values) in [
            ("second", pairs.second.count), ("tokens", pairs.tokens.count), ("groups", pairs.groups.count),
        ] where values != pairs.first.count {
            throw .value("paired: \(name): expected \(pairs.first.count) values as in first, found \(values)")
        }
        let table = try ReleasedInterpreter.runInterruptibly { _ in
            let effects = PairedEffect.effects(
                first: pairs.first, second: pairs.second, tokens: pairs.tokens, groupOf: pairs.groups,
                settings: settings)
            return TableStorage(PairedEffect.table(effects), notes: [("settings", try json(settings))])
        }
        return try types.table.make(table).release()
    }

    /// Counts of a record that holds no tokens.
    private struct Counts: Decodable {
        /// The model's numbers.
        var layers: [Int]
        /// [layers, experts]: assignments.
        var counts: [[Int]]
    }

    /// `load_tables(counts as JSON) -> list of Table`: the metric load of counts, without intervals.
    static func loadTables(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject
    {
        let arguments = try Arguments(arguments, count, expected: 1...1)
        let given = try FromPython.json(Counts.self, try arguments[0], "counts")
        guard given.layers.count == given.counts.count, Set(given.counts.map(\.count)).count <= 1 else {
            throw .value("load_tables: expected counts [\(given.layers.count) layers, experts]")
        }
        let definition = LoadMetric.definition
        let notes = [("title", definition.title), ("formula", definition.formula), ("source", definition.source)]
        let tables = LoadMetric.tables(counts: zip(given.layers, given.counts).map { (layer: $0, experts: $1) })
        return try TableObject.list(tables.map { TableStorage($0, notes: notes) })
    }

    private static func tables(_ compute: @escaping @Sendable () throws -> any MetricValues) throws(PythonError)
        -> PythonObject
    {
        let tables = try ReleasedInterpreter.runInterruptibly { _ in
            let result = try compute()
            let notes = try notes(type(of: result).definition, result.sample)
            return result.tables.map { TableStorage($0, notes: notes) }
        }
        return try TableObject.list(tables)
    }

    private static func notes(
        _ definition: MetricDefinition, _ sample: MetricSample
    ) throws(PythonError) -> [(key: String, value: String)] {
        [
            ("title", definition.title), ("formula", definition.formula), ("source", definition.source),
            ("sample", try json(sample)),
        ]
    }

    /// `metric_definitions() -> JSON`
    static func definitions() throws(PythonError) -> PythonObject {
        try ToPython.string(try json(MetricCatalog.definitions)).release()
    }
}
