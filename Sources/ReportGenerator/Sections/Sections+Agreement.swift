import RoutingMetrics

extension Sections {
    /// Beside another trace of the same tokens, where one is given.
    var agreement: Section? {
        guard let metric = metrics.result(AgreementMetric.self),
            let least = metric.layers.min(by: { $0.overlap.value < $1.overlap.value }),
            let all = metric.effects.first
        else { return nil }
        return Section(
            id: "agreement", title: "Agreement with another trace of the same tokens",
            lead:
                "\(metric.models.joined(separator: " and ")) agree least in layer \(least.layer), where \(Prose.percent(least.overlap.value)) of a token's experts are the "
                + "same\(Prose.percentInterval(least.overlap)). Their negative log-likelihoods are \(Prose.number(all.first)) and \(Prose.number(all.second)) nats per token.",
            figures: [overlapByLayer], method: method(AgreementMetric.definition, sample: metric.sample),
            downloads: ["agreement", "agreement-margins", "agreement-nll"])
    }

    private var overlapByLayer: Figure {
        let share = Measure("share", format: "%", zero: false)
        return Figure(
            id: "figure-agreement", label: "Line of the agreement of two traces by layer.",
            caption:
                "Share of a token's experts that both traces choose, by layer, with its 95 % interval. The dashed line is the share of tokens "
                + "with exactly the same experts.",
            chart: Charts.lineWithBand(
                "agreement", x: Spec.layerAxis(depth), "overlap", share,
                tooltip: [
                    ("layer", "layer", nil), ("overlap", "overlap", ".2%"), ("same_set", "same experts", ".2%"),
                    ("same_first", "same first expert", ".2%"), ("kl", "KL, nats", ".4f"),
                ],
                behind: [Marks.line("agreement", "same_set", share, colour: "@muted", dash: .dashed)]),
            shown: "agreement")
    }
}
