import RoutingMetrics

extension Sections {
    /// Which experts are chosen for the same tokens.
    var coactivation: Section? {
        guard let metric = metrics.coactivation, model.expertsPerToken > 1,
            let best = metric.pairs.filter({ $0.share != nil }).max(by: {
                ($0.share?.value ?? 0) < ($1.share?.value ?? 0)
            }),
            let share = best.share
        else { return nil }
        return Section(
            id: "coactivation", title: "Which experts are chosen together",
            lead:
                "Of the tokens that go to expert \(best.expert) of layer \(best.layer), \(Prose.percent(share.value)) also go to expert "
                + "\(best.other)\(Prose.percentInterval(share)). This is the largest such share. Under uniform routing every share would be "
                + "\(Prose.percent(metric.uniform)).",
            control: slider(["figure-coactivation"]), figures: [coactivationAtLayer(largest: share.value)],
            method: method(CoactivationMetric.definition, sample: metric.sample), downloads: ["coactivation"])
    }

    /// Expert × expert: given that a token went to the row's expert, where its other choices went.
    private func coactivationAtLayer(largest: Double) -> Figure {
        Figure(
            id: "figure-coactivation",
            label: "Heat map of expert by expert: how often two are chosen for the same token.",
            caption:
                "Each cell is the share of the tokens of the row's expert that also go to the column's expert, in the layer of the slider.",
            chart: Charts.heatMap(
                Rows("coactivation", ["filter": "datum.expert != datum.other"]),
                x: Spec.columns("other", title: "also goes to expert"),
                y: Spec.ordinal("expert", title: "expert", axis: ["labelOverlap": true]),
                .amount(of: "share", title: "share of the row's tokens", largest: largest, format: "%"),
                text: model.experts <= 16 ? ".0%" : nil, step: model.experts > 16 ? 10 : 28,
                tooltip: [
                    ("expert", "expert", nil), ("other", "also", nil), ("share", "share", ".1%"),
                    ("together", "tokens", ",d"),
                ], layer: mostInformativeLayer),
            shown: "coactivation")
    }
}
