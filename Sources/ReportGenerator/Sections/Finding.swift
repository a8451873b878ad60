/// One computed sentence and what it rests on.
struct Finding: Sendable {
    /// What was found, in plain words.
    let claim: String
    /// Its strength, interval, null and sample size.
    let evidence: String
}
