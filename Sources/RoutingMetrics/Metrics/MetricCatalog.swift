/// Every metric by name.
public enum MetricCatalog {
    /// In the order of the report.
    public static let all: [any MetricResult.Type] = [
        LoadMetric.self, DomainShareMetric.self, SpecializationMetric.self, InformationMetric.self,
        DecodingMetric.self,
        AssociationMetric.self, SpecialistMetric.self, TaskExpertMetric.self, WithinTokenMetric.self,
        DivergenceMetric.self,
        ParallelDivergenceMetric.self, RepetitionMetric.self, CoactivationMetric.self, ConfidenceMetric.self,
        ExpertConfidenceMetric.self,
        AuxiliaryLossMetric.self, VocabularyMetric.self, PathMetric.self, ExpertCacheMetric.self, AttentionMetric.self,
        SpeculationMetric.self, PositionMetric.self,
    ]

    /// Metrics that compare traces, for `moescope compare`.
    public static let comparisons: [any MetricValues.Type] = [AgreementMetric.self, SaturationMetric.self]

    /// What there is to compute, in words.
    public static var definitions: [MetricDefinition] { all.map { $0.definition } + comparisons.map { $0.definition } }

    /// - Throws: with the names there are.
    public static func named(_ name: String) throws(MetricError) -> any MetricResult.Type {
        guard let metric = all.first(where: { $0.definition.name == name }) else {
            guard !comparisons.contains(where: { $0.definition.name == name }) else {
                throw MetricError(name, "compares traces", hint: "use `moescope compare` with two traces or more")
            }
            throw MetricError(
                name, "no metric of this name; there are \(all.map { $0.definition.name }.joined(separator: ", "))",
                hint: "`moescope metrics --list` explains each")
        }
        return metric
    }
}
