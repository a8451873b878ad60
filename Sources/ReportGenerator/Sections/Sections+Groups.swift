import RoutingMetrics

extension Sections {
    /// Which experts each group uses.
    var groups: Section? {
        guard let metric = metrics.domainShare, !metric.sample.largeGroupNames.isEmpty else { return nil }
        let real = metric.rows.filter { Verdict.isFound($0.adjustedP) }
        let best = Dictionary(grouping: real, by: \.group).compactMap { group, rows -> (String, GroupExpertShare)? in
            rows.max { ($0.share?.value ?? 0) < ($1.share?.value ?? 0) }.map { (group, $0) }
        }.sorted { $0.0 < $1.0 }
        let described = best.compactMap { group, row in
            row.share.map {
                "\(Prose.percent($0.value)) for \(names.prose(group)) (expert \(row.expert) of layer \(row.layer))"
            }
        }
        let groups = metric.sample.largeGroupNames
        let small = metric.sample.groups.filter { !$0.isLargeEnough }
        var paragraphs: [String] = []
        if !small.isEmpty {
            paragraphs.append(
                "Intervals need at least \(metric.sample.settings.minimumDocuments) documents of a \(names.noun). Those with fewer are left "
                    + "out: \(Prose.list(small.map { "\($0.name) (\($0.documents))" })).")
        }
        return Section(
            id: "groups", title: "Which experts each \(names.noun) uses",
            lead: described.isEmpty
                ? "No expert was found whose share of a \(names.noun) differs from its share of the other \(names.noun)s."
                : "The largest share of a \(names.noun)'s assignments that a single expert of a layer receives is "
                    + "\(Prose.list(described)).",
            paragraphs: paragraphs, control: slider(["figure-group-layer"]),
            figures: [groupsAtLayer(groups), groupsInEveryLayer(groups)],
            method: method(DomainShareMetric.definition, sample: metric.sample),
            downloads: ["domain-share", "specialization", "association"])
    }

    /// Group × expert in the layer that the slider says.
    private func groupsAtLayer(_ groups: [String]) -> Figure {
        let uniform = 1 / Double(model.experts)
        return Figure(
            id: "figure-group-layer", label: "Heat map of group by expert in the layer chosen with the slider.",
            caption:
                "Each cell is the share of a group's assignments that an expert receives, in the layer of the slider. Every row adds up to "
                + "100 %. Blue cells are above a uniform share (\(Prose.percent(uniform))), brown cells are below. Point at a cell to see its "
                + "interval.",
            chart: Charts.heatMap(
                "domain-share", x: Spec.columns("expert", title: "expert"),
                y: Spec.ordinal("group", sort: Spec.names(groups)), .lift(of: "share", uniform: uniform),
                text: model.experts <= 16 ? ".0%" : nil, step: 30, tooltip: groupTips, layer: mostInformativeLayer,
                margin: 90),
            shown: "domain-share")
    }

    /// Small multiples: layer × expert for every group.
    private func groupsInEveryLayer(_ groups: [String]) -> Figure {
        let colour = Charts.HeatColour.lift(of: "share", uniform: 1 / Double(model.experts))
        return Figure(
            id: "figure-groups", label: "One heat map of layer by expert for every group.",
            caption:
                "The same shares in every layer, one panel per group, in the colours of the figure before. Experts of the same number in "
                + "different layers have nothing to do with each other. The same cell in all panels shows which groups an expert serves.",
            chart: Charts.smallMultiples(
                Rows("domain-share", transform: colour.transform),
                by: .init(field: "group", values: groups),
                each: Charts.smallHeatMap(
                    x: Spec.columns("expert", title: "expert"),
                    y: Spec.ordinal("layer", title: "layer", axis: ["labelOverlap": true]),
                    colour, step: layers.count > 16 ? 9 : 20,
                    tooltip: groupTips),
                layout: .init(columns: 3, cell: 230, margin: 58)),
            shown: nil)
    }

    private var groupTips: [Spec.Tip] {
        [("group", "group", nil), ("layer", "layer", nil), ("expert", "expert", nil)]
            + Spec.estimate("share", "share of assignments", ".1%")
            + [("assignments", "assignments", ",d"), ("p_adjusted", "p against the others", ".2~g")]
    }
}
