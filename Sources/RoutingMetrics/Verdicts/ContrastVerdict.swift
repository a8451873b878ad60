/// What may be said of a change beside its controls.
///
/// "More" or "less" where the interval leaves 0 out and q < 0.05 over the contrasts of the experiment; otherwise the two are not
/// told apart, which does not say that they are alike.
public enum ContrastVerdict: Sendable, Equatable {
    case costsMore
    case costsLess
    case notToldApart
}

extension ExperimentResult.Contrast {
    /// nil where there is no interval.
    public var verdict: ContrastVerdict? {
        guard let lower = difference?.lower, let upper = difference?.upper else { return nil }
        guard Verdict.isFound(qValue) else { return .notToldApart }
        return lower > 0 ? .costsMore : upper < 0 ? .costsLess : .notToldApart
    }
}
