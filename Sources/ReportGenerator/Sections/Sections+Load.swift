import RoutingMetrics

extension Sections {
    /// How evenly experts are used.
    var load: Section? {
        guard let metric = metrics.load,
            let fullest = metric.layers.max(by: { $0.maxOverMean.value < $1.maxOverMean.value })
        else { return nil }
        let dead = metric.layers.flatMap { layer in layer.deadExperts.map { "\($0) of layer \(layer.layer)" } }
        return Section(
            id: "load", title: "How evenly experts are used",
            lead:
                "\(Findings.unevenness(fullest)) "
                + (dead.isEmpty
                    ? "Every expert receives tokens."
                    : dead.count <= Self.mostGroups
                        ? "No token goes to \(dead.count == 1 ? "expert" : "experts") \(Prose.list(dead))."
                        : "No token goes to \(Prose.count(dead.count)) of the experts; load.csv says which."),
            figures: [loadOfEveryExpert], method: method(LoadMetric.definition, sample: metric.sample),
            downloads: ["load", "load-layers"])
    }

    /// Layer × expert, the share of assignments as a multiple of an even share.
    private var loadOfEveryExpert: Figure {
        let uniform = 1 / Double(model.experts)
        return Figure(
            id: "figure-load", label: "Heat map of the load of every expert in every layer.",
            caption:
                "Each cell is the share of its layer's assignments that an expert receives. The colour says how that compares with a "
                + "uniform share (\(Prose.percent(uniform))).",
            chart: Charts.heatMap(
                "load", x: Spec.columns("expert", title: "expert"),
                y: Spec.ordinal("layer", title: "layer", axis: ["labelOverlap": true]),
                .lift(of: "share", uniform: uniform), text: model.experts <= 16 ? ".0%" : nil,
                step: layers.count > 32 ? 11 : model.experts > 16 ? 16 : 26,
                tooltip: [("layer", "layer", nil), ("expert", "expert", nil)]
                    + Spec.estimate("share", "share", ".1%") + [("assignments", "assignments", ",d")]),
            shown: "load")
    }
}
