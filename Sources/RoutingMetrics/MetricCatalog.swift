/// Every metric by name.
public enum MetricCatalog {
    /// In the order of the report.
    public static let all: [any MetricResult.Type] = [
        LoadMetric.self, DomainShareMetric.self, SpecializationMetric.self, InformationMetric.self,
        AssociationMetric.self, TaskExpertMetric.self, WithinTokenMetric.self, DivergenceMetric.self,
        ParallelDivergenceMetric.self, RepetitionMetric.self, CoactivationMetric.self, ConfidenceMetric.self,
        AuxiliaryLossMetric.self, VocabularyMetric.self, PathMetric.self, ExpertCacheMetric.self, AttentionMetric.self,
    ]

    /// - Throws: with the names there are.
    public static func named(_ name: String) throws(MetricError) -> any MetricResult.Type {
        guard let metric = all.first(where: { $0.definition.name == name }) else {
            throw MetricError(
                name, "no metric of this name; there are \(all.map { $0.definition.name }.joined(separator: ", "))",
                hint: "`moescope metrics --list` explains each")
        }
        return metric
    }
}
