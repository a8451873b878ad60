import RoutingMetrics

extension Sections {
    /// Which experts each group uses.
    var groups: Section? {
        guard let metric = metrics.domainShare, !metric.sample.largeGroupNames.isEmpty else { return nil }
        let real = metric.rows.filter { ($0.qValue ?? 1) < Findings.level }
        let best = Dictionary(grouping: real, by: \.group).compactMap { group, rows -> (String, GroupExpertShare)? in
            rows.max { ($0.share?.value ?? 0) < ($1.share?.value ?? 0) }.map { (group, $0) }
        }.sorted { $0.0 < $1.0 }
        let described = best.compactMap { group, row in
            row.share.map {
                "\(names.prose(group)) expert \(row.expert) of layer \(row.layer) (\(Prose.percent($0.value)))"
            }
        }
        let groups = metric.sample.largeGroupNames
        let small = metric.sample.groups.filter { !$0.isLargeEnough }
        var paragraphs: [String] = []
        if !small.isEmpty {
            paragraphs.append(
                "Left out, because intervals need at least \(metric.sample.settings.minimumDocuments) documents: "
                    + Prose.list(small.map { "\($0.name) (\($0.documents))" }) + ".")
        }
        return Section(
            id: "groups", title: "Which experts each \(names.noun) uses",
            lead: described.isEmpty
                ? "No expert's share of a \(names.noun) differs from its share of the others."
                : "Each \(names.noun)'s largest share goes to: \(Prose.list(described)).",
            paragraphs: paragraphs, control: slider(["figure-group-layer"]),
            figures: [groupsAtLayer(groups), groupsInEveryLayer(groups)],
            method: method(DomainShareMetric.definition, sample: metric.sample),
            downloads: ["domain-share", "specialization", "association"])
    }

    /// Group × expert in the layer that the slider says.
    private func groupsAtLayer(_ groups: [String]) -> Figure {
        let even = 1 / Double(model.experts)
        return Figure(
            id: "figure-group-layer", label: "Heat map of group by expert in the layer chosen with the slider.",
            caption:
                "The share of a group's assignments that each expert receives, in the layer of the slider; every row adds up to 100 %. "
                + "Blue: above an even share (\(Prose.percent(even))), brown: below; point at a cell for its interval.",
            chart: Charts.heatMap(
                "domain-share", x: Spec.columns("expert", title: "expert"),
                y: Spec.ordinal("group", sort: Spec.names(groups)), .lift(of: "share", chance: even),
                text: model.experts <= 16 ? ".0%" : nil, step: 30, tooltip: groupTips, layer: mostInformativeLayer,
                margin: 90),
            shown: "domain-share")
    }

    /// Small multiples: layer × expert for every group.
    private func groupsInEveryLayer(_ groups: [String]) -> Figure {
        let colour = Charts.HeatColour.lift(of: "share", chance: 1 / Double(model.experts))
        return Figure(
            id: "figure-groups", label: "One heat map of layer by expert for every group.",
            caption:
                "Every layer at once, in the colours of the figure before. A column of blue is an expert of the group; the same row read "
                + "across groups shows whom it leaves out.",
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
            + [("assignments", "assignments", ",d"), ("q_value", "q against all others", ".2~g")]
    }
}
