import ArgumentParser
import RoutingMetrics

/// How intervals and p-values are computed: the same in every command that prints them.
struct StatisticsOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Bootstrap replicates over documents, or what belongs together.", valueName: "n"))
    var bootstrap = MetricSettings().bootstrap

    @Option(help: ArgumentHelp("Permutations of group labels, or sign flips of paired differences.", valueName: "n"))
    var permutations = MetricSettings().permutations

    @Option(help: ArgumentHelp("Of everything that is drawn at random.", valueName: "n"))
    var seed = MetricSettings().seed

    @Option(help: ArgumentHelp("Documents a group needs to be shown.", valueName: "n"))
    var minimumDocuments = MetricSettings().minimumDocuments

    func validate() throws {
        for (name, value) in [
            ("--bootstrap", bootstrap), ("--permutations", permutations), ("--minimum-documents", minimumDocuments),
        ] where value < 0 {
            throw ValidationError("\(name): expected 0 or more, found \(value)")
        }
    }

    /// Puts them into settings.
    func apply(to settings: inout MetricSettings) {
        settings.bootstrap = bootstrap
        settings.permutations = permutations
        settings.seed = seed
        settings.minimumDocuments = minimumDocuments
    }
}
