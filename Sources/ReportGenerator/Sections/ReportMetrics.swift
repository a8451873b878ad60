import RoutingMetrics
import Traces

/// What a report shows, already computed. A metric that is not here was not measured, and its section is left out.
public struct ReportMetrics: Sendable {
    /// In the order of the metrics' catalog, a comparison last.
    public private(set) var results: [any MetricValues] = []
    /// The tables of each result, built once: they may have hundreds of thousands of rows.
    private(set) var tablesByResult: [[MetricTable]] = []
    /// Why a metric is not here, where that is worth saying.
    public private(set) var notes: [String] = []

    /// Computes everything that the trace allows.
    /// - Parameters:
    ///   - other: a second trace of the same tokens, to hold the first against.
    ///   - earlier: traces of the same tokens by earlier checkpoints, in order.
    ///   - progress: called before each metric with how many are done, how many there are, and what comes next; and at the end.
    ///   - isCancelled: asked before each metric; those that follow are then not computed.
    /// - Throws: a trace that cannot be counted at all, or traces that cannot be compared. A single metric that does not
    ///   apply becomes a note.
    public init(
        _ trace: Trace, comparedWith other: Trace? = nil, earlier: [Trace] = [],
        settings: MetricSettings = MetricSettings(), progress: (Int, Int, String) -> Void = { _, _, _ in },
        isCancelled: () -> Bool = { false }
    ) throws(MetricError) {
        // Counting comes first, and writing what was computed last.
        let steps = MetricCatalog.all.count + 2
        progress(0, steps, "counting")
        let input = try MetricInput(trace, settings: settings)
        for (place, metric) in MetricCatalog.all.enumerated() {
            progress(place + 1, steps, metric.definition.name)
            if isCancelled() { throw MetricError(metric.definition.name, "stopped") }
            do throws(MetricError) {
                results.append(try metric.compute(input))
            } catch {
                guard error.damage == nil else { throw error }
                notes.append("\(error)")
            }
        }
        if !earlier.isEmpty { results.append(try SaturationMetric.compare(earlier + [trace], settings: settings)) }
        if let other { results.append(try AgreementMetric.compare(trace, other, settings: settings)) }
        progress(steps - 1, steps, "tables")
        tablesByResult = results.map(\.tables)
        for read in [trace, other].compactMap(\.self) + earlier { try MetricInput.checkReadable(read, "report") }
    }

    func result<Metric: MetricValues>(_ type: Metric.Type) -> Metric? {
        for result in results {
            if let found = result as? Metric { return found }
        }
        return nil
    }

    var load: LoadMetric? { result(LoadMetric.self) }
    var domainShare: DomainShareMetric? { result(DomainShareMetric.self) }
    var information: InformationMetric? { result(InformationMetric.self) }
    var divergence: DivergenceMetric? { result(DivergenceMetric.self) }
    var repetition: RepetitionMetric? { result(RepetitionMetric.self) }
    var coactivation: CoactivationMetric? { result(CoactivationMetric.self) }
    var expertConfidence: ExpertConfidenceMetric? { result(ExpertConfidenceMetric.self) }
    var confidence: ConfidenceMetric? { result(ConfidenceMetric.self) }

    /// Every table, each with its own CSV file.
    var tables: [MetricTable] { tablesByResult.flatMap(\.self) }

    /// Documents, tokens and settings: the same for all, so any one's.
    var sample: MetricSample? { results.first?.sample }
}
