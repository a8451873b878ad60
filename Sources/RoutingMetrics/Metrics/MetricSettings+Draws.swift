/// How many permutations and bootstrap replicates a trace gets where nobody said.
extension MetricSettings {
    /// What is tried in turn, below the number set. With 199 of each, sentences and intervals hold what `moescope calibrate` counts,
    /// since it counts with 199.
    private static let steps = [999, 499, 199]

    /// Counts that draws of one comparison of groups may visit.
    private static let drawnCounts = 12_000_000_000

    /// These settings with so many draws that a comparison of all groups over all layers and experts stays within its budget: time
    /// grows with layers × experts × documents × groups, and with the draws. What was set by hand stays.
    package func affordable(layers: Int, experts: Int, documents: Int, groups: Int) -> MetricSettings {
        let counts = max(1, layers * experts * documents * groups)
        func fitting(_ wanted: Int) -> Int {
            guard counts > Self.drawnCounts / max(1, wanted) else { return wanted }
            return Self.steps.first { $0 < wanted && counts <= Self.drawnCounts / $0 }
                ?? min(wanted, Self.steps.last ?? wanted)
        }
        var result = self
        if adaptsPermutations { result.permutations = fitting(permutations) }
        if adaptsBootstrap { result.bootstrap = fitting(bootstrap) }
        return result
    }
}
