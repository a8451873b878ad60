import RoutingMetrics
import Traces

/// What a report shows, already computed. A part that is nil was not measured, and its section is left out.
public struct ReportMetrics: Sendable {
    public var load: LoadMetric?
    public var domainShare: DomainShareMetric?
    public var specialization: SpecializationMetric?
    public var information: InformationMetric?
    public var divergence: DivergenceMetric?
    public var repetition: RepetitionMetric?
    public var coactivation: CoactivationMetric?
    public var confidence: ConfidenceMetric?

    /// Why a metric is not here, where that is worth saying.
    public var notes: [String] = []

    public init() {}

    /// Computes everything that the trace allows.
    /// - Throws: a trace that cannot be counted at all. A single metric that does not apply becomes a note.
    public init(_ trace: Trace, settings: MetricSettings = MetricSettings()) throws(MetricError) {
        let input = try MetricInput(trace, settings: settings)
        load = compute(LoadMetric.self, input)
        domainShare = compute(DomainShareMetric.self, input)
        specialization = compute(SpecializationMetric.self, input)
        information = compute(InformationMetric.self, input)
        divergence = compute(DivergenceMetric.self, input)
        repetition = compute(RepetitionMetric.self, input)
        coactivation = compute(CoactivationMetric.self, input)
        confidence = compute(ConfidenceMetric.self, input)
    }

    private mutating func compute<Metric: MetricResult>(_ metric: Metric.Type, _ input: MetricInput) -> Metric? {
        do {
            return try metric.compute(input)
        } catch {
            notes.append("Not shown: \(error)")
            return nil
        }
    }

    var all: [any MetricResult] {
        let results: [(any MetricResult)?] = [
            load, domainShare, specialization, information, divergence, repetition, coactivation, confidence,
        ]
        return results.compactMap(\.self)
    }

    /// Every table, each with its own CSV file.
    var tables: [MetricTable] {
        all.flatMap(\.tables) + (repetition == nil ? [] : [PublishedRepetition.table])
    }

    /// Documents, tokens and settings: the same for all, so any one's.
    var sample: MetricSample? { all.first?.sample }
}
