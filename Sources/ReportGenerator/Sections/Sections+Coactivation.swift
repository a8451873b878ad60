import RoutingMetrics

extension Sections {
    /// Which experts are chosen for the same tokens.
    var coactivation: Section? {
        guard let metric = metrics.coactivation, model.expertsPerToken > 1,
            let largest = metric.pairs.compactMap(\.share?.value).max(), let lead = coactivationLead(metric)
        else { return nil }
        let top = model.experts > Self.mostExperts ? strongestPairs(metric) : nil
        return Section(
            id: "coactivation", title: "Which experts are chosen together", lead: lead,
            control: slider(["figure-coactivation"]),
            figures: [top == nil ? coactivationAtLayer(largest: largest) : strongestPairsAtLayer],
            method: method(CoactivationMetric.definition, sample: metric.sample),
            downloads: ["coactivation"] + (top.map { [$0.name] } ?? []), tables: top.map { [$0] } ?? [])
    }

    /// Pairs shown of a layer where experts are many.
    private static let mostPairs = 24

    /// The pairs of each layer with the largest shares.
    private func strongestPairs(_ metric: CoactivationMetric) -> MetricTable {
        func share(_ pair: CoactivationMetric.Pair) -> Double { pair.share?.value ?? 0 }
        var rows: [[MetricCell]] = []
        for (layer, pairs) in Dictionary(grouping: metric.pairs, by: \.layer).sorted(by: { $0.key < $1.key }) {
            let ranked = pairs.filter { $0.share != nil }.sorted { a, b in
                (share(b), a.expert, a.other) < (share(a), b.expert, b.other)
            }
            for (place, pair) in ranked.prefix(Self.mostPairs).enumerated() {
                let chance: MetricCell = pair.chance.map { .real($0.expected) } ?? .missing
                let name = "\(pair.expert) → \(pair.other)"
                rows.append([
                    .integer(layer), .integer(place + 1), .text(name), .integer(pair.expert), .integer(pair.other),
                    .real(share(pair)), chance, .integer(pair.together),
                ])
            }
        }
        return MetricTable(
            name: "coactivation-strongest", title: "The pairs of experts that are chosen together most, in each layer",
            columns: [
                MetricColumn("layer", .integer, "layer of the model, from 0"),
                MetricColumn("rank", .integer, "1 has the largest share of the layer"),
                MetricColumn("pair", .text, "expert → the other"),
                MetricColumn("expert", .integer, "expert, from 0"),
                MetricColumn("other", .integer, "the expert chosen with it"),
                MetricColumn("share", .real, "share of the expert's tokens that also go to the other"),
                MetricColumn("chance_document", .real, "the share that each document's load alone would give"),
                MetricColumn("together", .integer, unit: "tokens", "tokens that chose both"),
            ], rows: rows)
    }

    /// The first of a ranking, where a cell for every pair could not be read.
    private var strongestPairsAtLayer: Figure {
        Figure(
            id: "figure-coactivation", label: "Bars: the pairs of experts chosen together most in the layer chosen.",
            caption:
                "The \(Self.mostPairs) pairs of experts with the largest share of tokens in common, in the layer of the slider: of the tokens of the first expert, the "
                + "share that also goes to the second. All pairs are in coactivation.csv.",
            chart: Charts.bars(
                Rows("coactivation-strongest"), row: "pair", order: "rank", "share",
                title: "share of the expert's tokens",
                format: "%", layer: mostInformativeLayer,
                tooltip: [
                    ("expert", "expert", nil), ("other", "also", nil), ("share", "share", ".1%"),
                    ("chance_document", "by the load alone", ".1%"), ("together", "tokens", ",d"),
                ]),
            shown: "coactivation-strongest")
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
