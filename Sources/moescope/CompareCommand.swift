import ArgumentParser
import Foundation
import RoutingMetrics
import Traces

struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare two traces of the same tokens: do the routers agree, and what does it cost?",
        discussion: """
            For checkpoints of a training run, precisions, quantizations, interventions. Overlap of the chosen experts, \
            flips by margin, KL of the routers, and the paired difference of the negative log-likelihood per group.

            Examples:
              moescope compare traces/exact traces/fast
              moescope compare traces/step-1000 traces/final --csv
            """)

    @Argument(help: "The first trace's folder: the reference.")
    var first: String

    @Argument(help: "The second trace's folder.")
    var second: String

    @Option(help: "Which tokens: prompt (all that were read), generated (by the model; see generate --trace), all.")
    var positions: MetricSettings.Positions = .prompt

    @Option(help: ArgumentHelp("Only these layers, e.g. 0,3,5.", valueName: "list"))
    var layers: String?

    @Option(help: ArgumentHelp("Bootstrap replicates over documents.", valueName: "n"))
    var bootstrap = MetricSettings().bootstrap

    @Option(help: ArgumentHelp("Sign flips of the paired test.", valueName: "n"))
    var permutations = MetricSettings().permutations

    @Option(help: ArgumentHelp("Of bootstrap and sign flips.", valueName: "n"))
    var seed = MetricSettings().seed

    @Flag(help: "Everything as one JSON object.")
    var json = false

    @Flag(help: "Tidy tables as CSV, one after the other, each with a comment line before it.")
    var csv = false

    func validate() throws {
        guard !(json && csv) else { throw ValidationError("--json or --csv, not both") }
        for (name, value) in [("--bootstrap", bootstrap), ("--permutations", permutations)] where value < 0 {
            throw ValidationError("\(name): expected 0 or more, found \(value)")
        }
    }

    func run() throws {
        var settings = MetricSettings(
            positions: positions, bootstrap: bootstrap, permutations: permutations, seed: seed)
        settings.layers = try layers.map { try parseIntegers($0, option: "--layers") }
        let agreement = try AgreementMetric.compare(
            try Trace(folder: URL(filePath: first)), try Trace(folder: URL(filePath: second)), settings: settings)
        if json {
            print(try MetricReport(sample: agreement.sample, results: [agreement]).json())
        } else {
            for table in agreement.tables {
                print(csv ? "# \(table.name)\n\(table.csv)" : table.text() + "\n", terminator: "")
            }
        }
    }
}
