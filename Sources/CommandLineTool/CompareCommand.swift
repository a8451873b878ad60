import ArgumentParser
import Foundation
import RoutingMetrics
import Traces

struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare traces of the same tokens: do the routers agree, and what does it cost?",
        discussion: """
            For checkpoints of a training run, precisions, quantizations, interventions. Of two traces: overlap of the chosen \
            experts, flips by margin, KL of the routers, and the paired difference of the negative log-likelihood per group. \
            Of more: each against the last, for router saturation over the checkpoints of a run.

            Examples:
              moescope compare traces/exact traces/fast
              moescope compare traces/step-1000 traces/final --csv
              moescope compare traces/step-100 traces/step-1000 traces/step-10000 traces/final
            """)

    @Argument(help: "Folders of the traces. With two, the first is the reference; with three or more, the last is.")
    var traces: [String]

    @Option(help: "Which tokens: prompt (all that were read), generated (by the model; see generate --trace), all.")
    var positions: MetricSettings.Positions = .prompt

    @Option(help: ArgumentHelp("Only these layers, e.g. 0,3,5.", valueName: "list"))
    var layers: String?

    @OptionGroup var statistics: StatisticsOptions

    @Flag(help: "Everything as one JSON object.")
    var json = false

    @Flag(help: "Tidy tables as CSV, one after the other, each with a comment line before it.")
    var csv = false

    func validate() throws {
        guard !(json && csv) else { throw ValidationError("--json or --csv, not both") }
        guard traces.count > 1 else { throw ValidationError("expected two traces or more, found \(traces.count)") }
    }

    func run() throws {
        var settings = MetricSettings(positions: positions)
        statistics.apply(to: &settings)
        settings.layers = try layers.map { try parseIntegers($0, option: "--layers") }
        let series = try traces.map { try Trace(folder: URL(filePath: $0)) }
        let result: any MetricValues
        if series.count == 2 {
            result = try AgreementMetric.compare(series[0], series[1], settings: settings)
        } else {
            result = try SaturationMetric.compare(series, settings: settings)
        }
        if json {
            try print(try MetricReport(sample: result.sample, results: [result]).json())
        } else {
            for table in result.tables {
                try print(csv ? "# \(table.name)\n\(table.csv)" : table.text() + "\n", terminator: "")
            }
            if !csv { try MetricsCommand.printSample(result.sample) }
        }
    }
}
