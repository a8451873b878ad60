import RoutingMetrics

extension Sections {
    /// Which experts are chosen for the same tokens.
    var coactivation: Section? {
        guard let metric = metrics.coactivation, model.expertsPerToken > 1,
            let largest = metric.pairs.compactMap(\.share?.value).max(), let lead = coactivationLead(metric)
        else { return nil }
        return Section(
            id: "coactivation", title: "Which experts are chosen together", lead: lead,
            control: slider(["figure-coactivation"]), figures: [coactivationAtLayer(largest: largest)],
            method: method(CoactivationMetric.definition, sample: metric.sample), downloads: ["coactivation"])
    }

    private func coactivationLead(_ metric: CoactivationMetric) -> String? {
        // Every pair once.
        let tested = metric.pairs.filter { $0.expert < $0.other && $0.chance?.adjustedP != nil }
        let above = tested.filter { $0.chance?.isAbove ?? false }
        let below = tested.count { $0.chance?.isBelow ?? false }
        let shared = metric.pairs.filter { $0.share != nil }
        let strongest = above.compactMap(\.chance).strongest.map { above[$0] }
        guard let best = strongest ?? shared.max(by: { ($0.share?.value ?? 0) < ($1.share?.value ?? 0) }),
            let share = best.share
        else { return nil }
        let numbers =
            "Of the tokens that go to expert \(best.expert) of layer \(best.layer), \(Prose.percent(share.value)) also go to expert "
            + "\(best.other)\(Prose.percentInterval(share))."
        guard !tested.isEmpty, let chance = best.chance else {
            return
                "\(numbers) This is the largest such share. Under uniform routing every share would be "
                + "\(Prose.percent(metric.uniform)); what the load of each document gives was not tested."
        }
        let held =
            "\(numbers) If each document's load were all that decides, \(Prose.percent(chance.expected)) would; the share is "
            + "\(Prose.number(chance.ratio.value)) times that\(Prose.interval(chance.ratio))."
        let pairs = Prose.plural(tested.count, "pair")
        guard !above.isEmpty || below > 0 else {
            return "\(held) In none of \(pairs) of experts was a difference from what the load gives found."
        }
        let counts = [(above.count, "more"), (below, "less")].filter { $0.0 > 0 }.map {
            "\(Prose.count($0)) \($0 == 1 ? "is" : "are") chosen together \($1) often"
        }
        return
            "\(held) Of \(pairs) of experts in all layers, \(counts.joined(separator: " and ")) than the load gives "
            + "(p < \(Verdict.level) for all tests together)."
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
                    ("chance_document", "by the load alone", ".1%"), ("ratio", "ratio", ".3"),
                    ("p_adjusted", "p, adjusted", ".2~g"), ("together", "tokens", ",d"),
                ], layer: mostInformativeLayer),
            shown: "coactivation")
    }
}
