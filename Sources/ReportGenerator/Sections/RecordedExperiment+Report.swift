import RoutingMetrics

extension RecordedExperiment {
    /// The result's tables; their names begin with "experiment-", so that they stand apart from the trace's own.
    var reportTables: [MetricTable] {
        result.tables.map { table in
            var named = table
            named.name = "experiment-" + table.name
            return named
        }
    }

    /// Effects of arms that take a single expert away, by that expert.
    var ablations: [ExpertPlace: [ExperimentResult.Effect]] {
        var experts: [String: ExpertPlace] = [:]
        for arm in plan.arms { experts[arm.name] = arm.ablated }
        var found: [ExpertPlace: [ExperimentResult.Effect]] = [:]
        for effect in result.effects {
            if let expert = experts[effect.arm] { found[expert, default: []].append(effect) }
        }
        return found
    }
}
