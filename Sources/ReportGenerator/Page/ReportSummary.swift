import RoutingMetrics
import Traces

/// A report for programs: what was written, and what may be said. `report --json` prints it.
public struct ReportSummary: Encodable, Sendable {
    /// Paths as they were given; nil: not written.
    public struct Files: Encodable, Sendable {
        public var page: String?
        /// The folder of CSV files.
        public var tables: String?
        /// The folder of drawn figures.
        public var figures: String?

        public init(page: String?, tables: String?, figures: String?) {
            self.page = page
            self.tables = tables
            self.figures = figures
        }
    }

    /// A sentence that is printed at the page's beginning.
    public struct Finding: Encodable, Sendable {
        public var claim: String
        public var evidence: String
    }

    /// What a rule of the report says.
    public struct Verdict: Encodable, Sendable {
        public var rule: String
        /// found, not_found or not_testable.
        public var outcome: String
        /// Why the documents cannot tell.
        public var reason: String?
    }

    public var title: String
    public var model: String
    public var documents: Int
    public var tokens: Int
    public var groups: Int
    public var settings: MetricSettings?
    public var files: Files
    public var findings: [Finding]
    public var verdicts: [Verdict]
    /// Metrics that the trace did not allow, and why.
    public var leftOut: [String]
}

extension Report {
    public func summary(_ files: ReportSummary.Files) -> ReportSummary {
        ReportSummary(
            title: title, model: manifest.model.name, documents: manifest.documents, tokens: manifest.tokens,
            groups: metrics.sample?.groups.count ?? manifest.corpus.groups.count, settings: metrics.sample?.settings,
            files: files,
            findings: Findings(metrics: metrics, names: names).all.map {
                .init(claim: $0.claim, evidence: $0.evidence)
            }, verdicts: metrics.verdicts.map(ReportSummary.Verdict.init), leftOut: metrics.notes)
    }
}

extension ReportMetrics {
    /// What each rule says, of the metrics that were measured.
    var verdicts: [Verdict] {
        [
            result(AssociationMetric.self)?.dependence, result(SpecialistMetric.self)?.specialist,
            result(SpecialistMetric.self)?.anyReplication, result(WithinTokenMetric.self)?.withinToken,
            repetition?.repetition, coactivation?.coactivation, result(SpeculationMetric.self)?.speculation,
            result(ParallelDivergenceMetric.self)?.isU,
        ].compactMap(\.self)
    }
}

extension ReportSummary.Verdict {
    fileprivate init(_ verdict: Verdict) {
        rule = verdict.rule.rawValue
        switch verdict.outcome {
        case .found: outcome = "found"
        case .notFound: outcome = "not_found"
        case .notTestable(let why):
            outcome = "not_testable"
            reason = why
        }
    }
}
