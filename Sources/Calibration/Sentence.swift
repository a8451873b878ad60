import RoutingMetrics
import Traces

/// A sentence of the report, as it is judged on a trace.
package enum Sentence: String, Sendable, CaseIterable {
    case dependence, specialist
    case withinToken = "within-token"
    case replication, repetition, coactivation, speculation, curve

    /// Whether the sentence is printed of a trace; nil where its documents cannot tell.
    package func isPrinted(_ input: MetricInput) throws(MetricError) -> Bool? {
        let verdict =
            switch self {
            case .dependence: try AssociationMetric.compute(input).dependence
            case .specialist: try SpecialistMetric.compute(input).specialist
            case .withinToken: try WithinTokenMetric.compute(input).withinToken
            case .replication:
                try SpecialistMetric.compute(input).anyReplication
            case .speculation: try SpeculationMetric.compute(input).speculation
            case .repetition: RepetitionMetric.compute(input).repetition
            case .coactivation: try CoactivationMetric.compute(input).coactivation
            case .curve:
                if input.trace.documents.contains(where: { $0.parallelID != nil }), input.layerCount > 2 {
                    try ParallelDivergenceMetric.compute(input).isU
                } else {
                    nil as Verdict?
                }
            }
        return verdict.flatMap { if case .notTestable = $0.outcome { nil } else { $0.isFound } }
    }
}
