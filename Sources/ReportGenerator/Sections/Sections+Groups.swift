import RoutingMetrics

extension Sections {
    /// Which experts each group uses.
    var groups: Section? {
        guard let metric = metrics.domainShare, !metric.sample.largeGroupNames.isEmpty else { return nil }
        let real = metric.rows.filter { Verdict.isFound($0.adjustedP) }
        let best = Dictionary(grouping: real, by: \.group).compactMap { group, rows -> (String, GroupExpertShare)? in
            rows.max { ($0.share?.value ?? 0) < ($1.share?.value ?? 0) }.map { (group, $0) }
        }.sorted { $0.0 < $1.0 }
        let isLong = best.count > Self.mostGroups
        let quoted =
            isLong
            ? Array(best.sorted { ($1.1.share?.value ?? 0, $0.0) < ($0.1.share?.value ?? 0, $1.0) }.prefix(5)) : best
        let described = quoted.compactMap { group, row in
            row.share.map {
                "\(Prose.percent($0.value)) for \(names.prose(group)) (expert \(row.expert) of layer \(row.layer))"
            }
        }
        let groups = metric.sample.largeGroupNames
        let small = metric.sample.groups.filter { !$0.isLargeEnough }
        let cells = groups.count * layers.count * model.experts
        let ranking = cells > Self.mostCells ? strongest(metric) : nil
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
                    + "\(Prose.list(described))"
                    + (isLong ? ". These are the largest of \(Prose.plural(best.count, names.noun))." : "."),
            paragraphs: paragraphs, control: slider(["figure-group-layer"]),
            figures: [groupsAtLayer(ordered(groups))]
                + [ranking.map(strongestInEveryLayer) ?? groupsInEveryLayer(groups)],
            method: method(DomainShareMetric.definition, sample: metric.sample),
            downloads: ["domain-share", "specialization", "association"] + (ranking.map { [$0.table.name] } ?? []),
            tables: ranking.map { [$0.table] } ?? [])
    }

    /// Group × expert in the layer that the slider says.
    private func groupsAtLayer(_ groups: [String]) -> Figure {
        let uniform = 1 / Double(model.experts)
        return Figure(
            id: "figure-group-layer", label: "Heat map of group by expert in the layer chosen with the slider.",
            caption: (groups.count > Self.mostGroups ? "Groups that are routed alike stand side by side. " : "")
                + "Each cell is the share of a group's assignments that an expert receives, in the layer of the slider. Every row adds up to "
                + "100 %. Blue cells are above a uniform share (\(Prose.percent(uniform))), brown cells are below. Point at a cell to see its "
                + "interval.",
            chart: Charts.heatMap(
                "domain-share", x: Spec.columns("expert", title: "expert"),
                y: Spec.ordinal("group", sort: Spec.names(groups)), .lift(of: "share", uniform: uniform),
                text: model.experts <= 16 ? ".0%" : nil, step: groups.count > Self.mostGroups ? 18 : 30,
                tooltip: groupTips, layer: mostInformativeLayer,
                margin: 90),
            shown: "domain-share")
    }

    /// The expert with the largest share of each group in each layer, the groups by their largest.
    private func strongest(_ metric: DomainShareMetric) -> (table: MetricTable, groups: [String]) {
        var best: [String: [Int: GroupExpertShare]] = [:]
        for row in metric.rows {
            guard let share = row.share else { continue }
            if share.value > best[row.group]?[row.layer]?.share?.value ?? -1 {
                best[row.group, default: [:]][row.layer] = row
            }
        }
        func most(_ group: String) -> Double { best[group]?.values.compactMap { $0.share?.value }.max() ?? 0 }
        let groups = best.keys.sorted { (most($1), $0) < (most($0), $1) }
        var rows: [[MetricCell]] = []
        for group in groups {
            for (layer, row) in (best[group] ?? [:]).sorted(by: { $0.key < $1.key }) {
                let share = row.share?.value ?? .nan
                let p: MetricCell = row.adjustedP.map { .real($0) } ?? .missing
                rows.append([
                    .text(group), .integer(layer), .integer(row.expert), .real(share), .real(share / metric.uniform), p,
                ])
            }
        }
        let table = MetricTable(
            name: "domain-share-strongest", title: "The expert with the largest share of each group, in each layer",
            columns: [
                MetricColumn("group", .text, "group of documents, by falling largest share"),
                MetricColumn("layer", .integer, "layer of the model, from 0"),
                MetricColumn("expert", .integer, "the expert with the largest share, from 0"),
                MetricColumn(
                    "share", .real,
                    "share of the group's assignments; the largest of all experts, so larger than it would be again"),
                MetricColumn("lift", .real, "share over a uniform share"),
                MetricColumn("p_adjusted", .real, "as in domain-share"),
            ], rows: rows)
        return (table, groups)
    }

    /// Group × layer: the largest share of one expert. In place of a panel for every group.
    private func strongestInEveryLayer(_ ranking: (table: MetricTable, groups: [String])) -> Figure {
        let largest =
            ranking.table.rows.compactMap { row -> Double? in
                if case .real(let lift) = row[4] { lift } else { nil }
            }.max() ?? 1
        return Figure(
            id: "figure-groups", label: "Heat map of group by layer: the largest share of one expert.",
            caption:
                "The largest share of a group's assignments that one expert receives, by layer, as a multiple of a uniform share. Point at "
                + "a cell to see which expert it is. The groups with the largest shares stand on top. The largest of many shares is "
                + "larger than it would be in other documents; specialists.csv has intervals that allow for this.",
            chart: Charts.heatMap(
                Rows(ranking.table.name), x: Spec.columns("layer", title: "layer"),
                y: Spec.ordinal("group", sort: Spec.names(ranking.groups)),
                .amount(of: "lift", title: "multiple of a uniform share", largest: largest, format: nil), text: nil,
                step: 18,
                tooltip: [
                    ("group", "group", nil), ("layer", "layer", nil), ("expert", "expert", nil),
                    ("share", "share of assignments", ".1%"), ("lift", "times a uniform share", ".2f"),
                    ("p_adjusted", "p against the others", ".2~g"),
                ], margin: 90),
            shown: ranking.table.name)
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
