import ArgumentParser
import FileFormats
import Foundation
import ReportGenerator
import RoutingMetrics
import Traces

extension MetricSettings.Grouping: ExpressibleByArgument {}
extension MetricSettings.Positions: ExpressibleByArgument {}

struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics",
        abstract: "Compute routing metrics of a trace, with intervals and p-values.",
        discussion: """
            Without names, every metric that the trace has the arrays for.

            Examples:
              moescope metrics --list
              moescope metrics traces/demo information repetition
              moescope metrics traces/demo domain-share --layers 2,3 --csv > shares.csv
              moescope metrics traces/demo --by length --json > metrics.json
            """)

    @Argument(help: "The trace's folder.")
    var trace: String?

    @Argument(help: "Names of metrics (see --list); default: all.")
    var names: [String] = []

    @Flag(help: "Explain every metric: its formula and where it comes from.")
    var list = false

    @Option(help: "What makes a group: group (as the corpus says) or length (quarters by tokens).")
    var by: MetricSettings.Grouping = .group

    @OptionGroup var statistics: StatisticsOptions

    @Option(help: "Which tokens: prompt (all that were read), generated (by the model; see generate --trace), all.")
    var positions: MetricSettings.Positions = .prompt

    @Option(help: ArgumentHelp("Only these layers, e.g. 0,3,5.", valueName: "list"))
    var layers: String?

    @Option(help: ArgumentHelp("Rows left out at the start of each document.", valueName: "n"))
    var skip = 1

    @Option(
        help: ArgumentHelp("Group that task-experts compares with (default: all other groups).", valueName: "group"))
    var reference: String?

    @Option(help: ArgumentHelp("Difference beyond which task-experts counts an expert in.", valueName: "x"))
    var threshold = MetricSettings().threshold

    @Option(help: ArgumentHelp("Occurrences a token id needs to be shown.", valueName: "n"))
    var minimumCount = MetricSettings().minimumCount

    @Flag(help: "For coactivation: count only pairs of neighbouring ranks, as OLMoE's script does.")
    var adjacentRanks = false

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("Rows printed of each table.", valueName: "n"))
    var rows = 40

    @Flag(help: "Everything as one JSON object.")
    var json = false

    @Flag(help: "Tidy tables as CSV, one after the other, each with a comment line before it where there are several.")
    var csv = false

    func validate() throws {
        guard !(json && csv) else { throw ValidationError("--json or --csv, not both") }
        for (name, value) in [
            ("--skip", skip), ("--rows", rows), ("--minimum-count", minimumCount),
        ] where value < 0 {
            throw ValidationError("\(name): expected 0 or more, found \(value)")
        }
        if let threads, threads < 1 { throw ValidationError("--threads: expected at least 1, found \(threads)") }
        guard list || trace != nil else { throw ValidationError("which trace? (or --list)") }
    }

    func run() throws {
        guard !list else {
            // The first name stands where a trace would.
            let wanted = Set([trace].compactMap { $0 } + names)
            for name in wanted where !MetricCatalog.definitions.contains(where: { $0.name == name }) {
                _ = try MetricCatalog.named(name)
            }
            return try printList(MetricCatalog.definitions.filter { wanted.isEmpty || wanted.contains($0.name) })
        }
        let types = try names.isEmpty ? MetricCatalog.all : names.map { try MetricCatalog.named($0) }
        guard let trace else { return }
        var settings = MetricSettings(
            grouping: by, positions: positions, skippedPositions: skip, reference: reference, threshold: threshold,
            minimumCount: minimumCount, adjacentRanks: adjacentRanks, threads: threads)
        statistics.apply(to: &settings)
        settings.layers = try layers.map { try parseIntegers($0, option: "--layers") }
        let line = ProgressLine("metrics", unit: "steps", showsSpeed: false)
        line.update(0, of: types.count + 1, detail: "counting")
        defer { line.finish() }
        let input = try MetricInput(try Trace(folder: URL(filePath: trace)), settings: settings)
        var results: [any MetricValues] = []
        var remarks: [String] = []
        for (place, type) in types.enumerated() {
            line.update(place + 1, of: types.count + 1, detail: type.definition.name)
            do throws(MetricError) {
                results.append(try type.compute(input))
            } catch {
                // Asked for by name, a metric that cannot be computed is an error; among all, it is a remark, unless the trace
                // itself is at fault.
                guard names.isEmpty, error.damage == nil else { throw error }
                remarks.append("left out: \(error)")
            }
        }
        line.update(types.count + 1, of: types.count + 1)
        line.finish()
        for remark in remarks { say(remark) }
        statistics.sayDraws(input.settings)
        if json {
            try print(try MetricReport(sample: input.sample, results: results).json())
        } else if csv {
            let tables = results.flatMap(\.tables)
            for table in tables { try print((tables.count > 1 ? "# \(table.name)\n" : "") + table.csv, terminator: "") }
        } else {
            for result in results { for table in result.tables { try print(table.text(limit: rows)) } }
            try Self.printSample(input.sample)
        }
    }

    static func printSample(_ sample: MetricSample) throws {
        let groups = sample.groups.map { "\($0.name) \(Prose.count($0.documents))" }.joined(separator: ", ")
        let settings = sample.settings
        let token = settings.positions == .all ? "token" : "\(settings.positions.rawValue) token"
        try print(
            """
            \(sample.model): \(Prose.plural(sample.tokens, token)) of \(Prose.plural(sample.documents, "document")) (\(groups)), \
            the first \(settings.skippedPositions) of each left out; \(Int((settings.level * 100).rounded())) % intervals from \
            \(Prose.plural(settings.bootstrap, "bootstrap")) over documents, p-values from \
            \(Prose.plural(settings.permutations, "permutation")), seed \(settings.seed)
            """)
    }

    private func printList(_ definitions: [MetricDefinition]) throws {
        if json {
            try print(definitions.prettyJSON())
            return
        }
        for definition in definitions {
            try print(
                "\(definition.name): \(definition.title)\n    \(definition.formula)\n    source: \(definition.source)\n"
            )
        }
    }
}
