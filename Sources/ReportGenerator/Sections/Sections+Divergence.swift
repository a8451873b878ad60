import RoutingMetrics

extension Sections {
    /// How differently groups are routed.
    var divergence: Section? {
        guard let metric = metrics.divergence, !metric.pairs.isEmpty else { return nil }
        let mean = Dictionary(grouping: metric.pairs, by: { [$0.groupA, $0.groupB] }).mapValues { pairs in
            pairs.reduce(0) { $0 + $1.divergence.value } / Double(pairs.count)
        }.sorted { ($0.value, $0.key[0], $0.key[1]) < ($1.value, $1.key[0], $1.key[1]) }
        let found = Dictionary(grouping: metric.pairs, by: { [$0.groupA, $0.groupB] }).filter {
            $0.value.contains { Verdict.isFound($0.adjustedP) }
        }
        var lead = ""
        if !metric.isTested, let near = mean.first, let far = mean.last {
            lead =
                "The \(names.noun)s that are routed most alike are \(names.prose(near.key[0])) and \(names.prose(near.key[1])), with a "
                + "divergence of their expert distributions of \(Prose.number(near.value)) nats on average over layers; "
                + "\(names.prose(far.key[0])) and \(names.prose(far.key[1])) are routed most differently (\(Prose.number(far.value)) nats). "
                + "Single pairs were not tested: there are \(Prose.count(mean.count)), too many to be told apart by "
                + "\(Prose.plural(metric.sample.settings.permutations, "permutation"))."
        } else if found.isEmpty {
            lead = "That two \(names.noun)s are routed differently was not found."
        } else if let near = mean.first, let far = mean.last, mean.count > 1 {
            lead =
                "The \(names.noun)s that are routed most alike are \(names.prose(near.key[0])) and \(names.prose(near.key[1])): the "
                + "divergence of their expert distributions is \(Prose.number(near.value)) nats on average over layers. Those that are "
                + "routed most differently are \(names.prose(far.key[0])) and \(names.prose(far.key[1])) (\(Prose.number(far.value)) nats). A difference was found for \(found.count) of \(mean.count) pairs of \(names.noun)s "
                + "(adjusted p < \(Verdict.level))."
        }
        let parallel = parallelTexts
        return Section(
            id: "divergence", title: "How differently \(names.noun)s are routed", lead: lead,
            paragraphs: parallel.map { [$0.text] } ?? [], control: slider(["figure-pairs"]),
            figures: [
                pairsAtLayer(metric), divergenceByLayer,
            ] + (parallel.map { [$0.figure] } ?? []),
            method: method(DivergenceMetric.definition, sample: metric.sample),
            downloads: ["divergence", "divergence-layers"]
                + (parallel == nil ? [] : ["parallel-divergence", "parallel-divergence-layers"]))
    }

    /// The same text in two groups: a paragraph and a figure.
    private var parallelTexts: (text: String, figure: Figure)? {
        guard let metric = metrics.result(ParallelDivergenceMetric.self), !metric.layers.isEmpty,
            let low = metric.layers.min(by: { $0.mean.value < $1.mean.value }),
            let high = metric.layers.max(by: { $0.mean.value < $1.mean.value })
        else { return nil }
        let shape =
            switch metric.curve {
            case .u(let minimum):
                " Beyond what different texts of one \(names.noun) do, it forms a U over the layers with its minimum in layer \(minimum), as is published for "
                    + "larger models."
            case .notU: " The U over the layers that is published for larger models was not found."
            case .flat: " The intervals of all layers overlap."
            case .tooFewLayers, .noIntervals: ""
            }
        return (
            "The normalized divergence between the same text in two \(names.noun)s is smallest in layer \(low.layer) "
                + "(\(Prose.number(low.mean.value))) and largest in layer \(high.layer) (\(Prose.number(high.mean.value))), over "
                + "\(Prose.plural(low.texts, "text")).\(shape)",
            parallelByLayer
        )
    }

    /// Group × group at the layer of the slider.
    private func pairsAtLayer(_ metric: DivergenceMetric) -> Figure {
        let isLarge = metric.sample.largeGroupNames.count > Self.mostGroups
        let groups = Spec.names(ordered(metric.sample.largeGroupNames))
        return Figure(
            id: "figure-pairs", label: "Heat map of the divergence between every two groups at the layer chosen.",
            caption:
                "Jensen–Shannon divergence between the expert distributions of every two groups, in nats, in the layer of the slider."
                + (isLarge ? " Groups that are routed alike stand side by side." : ""),
            chart: Charts.heatMap(
                // In another order than that of names, every pair stands on both sides of the diagonal.
                isLarge
                    ? Rows(
                        "divergence", ["fold": ["group_a", "group_b"], "as": ["side", "one"]],
                        ["calculate": "datum.side == 'group_a' ? datum.group_b : datum.group_a", "as": "another"])
                    : "divergence",
                x: Spec.ordinal(isLarge ? "one" : "group_a", sort: groups, axis: ["labelAngle": isLarge ? -90 : 0]),
                y: Spec.ordinal(isLarge ? "another" : "group_b", sort: groups),
                .amount(
                    of: "divergence", title: "nats", largest: metric.pairs.map(\.divergence.value).max() ?? 1,
                    format: nil),
                text: isLarge ? nil : ".2f", step: isLarge ? 16 : 32,
                tooltip: [("group_a", "group", nil), ("group_b", "and", nil)]
                    + Spec.estimate("divergence", "nats", ".3f") + [("p_adjusted", "p", ".4f")],
                layer: mostInformativeLayer, margin: 80),
            shown: "divergence")
    }

    /// The divergence of the groups' expert distributions, averaged over pairs, through the layers.
    private var divergenceByLayer: Figure {
        Figure(
            id: "figure-divergence", label: "Line of the divergence between groups by layer, with interval and null.",
            caption:
                "Jensen–Shannon divergence between the expert distributions of two groups, by layer. The blue line is the mean over all "
                + "pairs with its 95 % interval. \(greyLines)The dashed line is the mean when group labels are permuted "
                + "over documents. The divergence is 0 where two groups are routed alike, and ln 2 = 0.69 where they share no expert.",
            chart: meanOverPairs(
                "divergence", Measure("nats"), mean: "mean over pairs",
                reference: ("null_mean", "permuted labels", ".4f")),
            shown: "divergence-layers")
    }

    /// The same text in two languages, through the layers, beside different texts of one language.
    private var parallelByLayer: Figure {
        Figure(
            id: "figure-parallel", label: "Line of the normalized divergence of parallel texts by layer.",
            caption:
                "Normalized divergence of the router's mean probabilities between the same text in two groups, by layer. The blue line "
                + "is the mean over pairs with its 95 % interval. \(greyLines)The dashed line is the divergence between "
                + "different texts of one group.",
            chart: meanOverPairs(
                "parallel-divergence", Measure("normalized divergence"), mean: "same text",
                reference: ("baseline", "different texts, same group", ".3f"), more: [("texts", "texts", ",d")]),
            shown: "parallel-divergence-layers")
    }

    /// A line for each would be a grey surface.
    private var hasManyPairs: Bool {
        (metrics.sample?.largeGroupNames.count ?? 0) > Self.mostGroups
    }
    private var greyLines: String { hasManyPairs ? "" : "The grey lines are the pairs. " }

    /// The mean over pairs of groups with its interval, over the line of every pair and a dashed reference.
    /// - Parameters:
    ///   - table: of the pairs; that of the means is called `table`-layers.
    ///   - mean: what the tooltip calls the mean.
    private func meanOverPairs(
        _ table: String, _ measure: Measure, mean: String, reference: Spec.Tip, more: [Spec.Tip] = []
    ) -> Chart {
        let means = Rows(table + "-layers")
        return Charts.lineWithBand(
            means, x: Spec.layerAxis(depth), "mean", measure,
            tooltip: [("layer", "layer", nil)] + Spec.estimate("mean", mean, ".3f") + [reference] + more,
            behind: (hasManyPairs ? [] : [Marks.pairs(table, "divergence", measure)]) + [
                Marks.line(means, reference.field, measure, colour: "@muted", dash: .dashed)
            ])
    }
}
