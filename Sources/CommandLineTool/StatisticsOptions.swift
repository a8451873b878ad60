import ArgumentParser
import ReportGenerator
import RoutingMetrics

/// How intervals and p-values are computed: the same in every command that prints them.
struct StatisticsOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Bootstrap replicates over documents, or what belongs together (default: \(Prose.count(MetricSettings().bootstrap)); "
                + "fewer, 199 at least, where layers × experts × documents × groups are very many).",
            valueName: "n"))
    var bootstrap: Int?

    @Option(
        help: ArgumentHelp(
            "Permutations of group labels, or sign flips of paired differences (default: "
                + "\(Prose.count(MetricSettings().permutations)); fewer as above).",
            valueName: "n"))
    var permutations: Int?

    @Option(help: ArgumentHelp("Of everything that is drawn at random.", valueName: "n"))
    var seed = MetricSettings().seed

    @Option(help: ArgumentHelp("Documents a group needs to be shown.", valueName: "n"))
    var minimumDocuments = MetricSettings().minimumDocuments

    func validate() throws {
        for (name, value) in [
            ("--bootstrap", bootstrap), ("--permutations", permutations), ("--minimum-documents", minimumDocuments),
        ] {
            if let value, value < 0 { throw ValidationError("\(name): expected 0 or more, found \(value)") }
        }
    }

    /// Puts them into settings.
    func apply(to settings: inout MetricSettings) {
        settings.bootstrap = bootstrap ?? settings.bootstrap
        settings.permutations = permutations ?? settings.permutations
        settings.adaptsBootstrap = bootstrap == nil
        settings.adaptsPermutations = permutations == nil
        settings.seed = seed
        settings.minimumDocuments = minimumDocuments
    }

    /// Says on standard error where a trace is so large that there are fewer draws than usual.
    func sayDraws(_ used: MetricSettings) {
        let usual = MetricSettings()
        guard
            bootstrap == nil && used.bootstrap < usual.bootstrap
                || permutations == nil && used.permutations < usual.permutations
        else { return }
        say(
            "note: this trace is large, so there are \(Prose.plural(used.bootstrap, "bootstrap replicate")) and "
                + "\(Prose.plural(used.permutations, "permutation")); --bootstrap \(usual.bootstrap) --permutations "
                + "\(usual.permutations) makes as many as for small ones, and takes longer")
    }
}
