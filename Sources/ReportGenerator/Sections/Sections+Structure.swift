import RoutingMetrics

/// Sections about tokens, layers, heads and caches.
extension Sections {
    /// A paragraph for the information section: is it the language that the router sees, or its spelling?
    var withinTokens: String? {
        guard let metric = metrics.result(WithinTokenMetric.self),
            let best = metric.layers.max(by: { $0.within.value < $1.within.value })
        else { return nil }
        let real = metric.layers.count { $0.qValue < Findings.level }
        return
            "Spelling alone? Among the \(Prose.count(best.tokenIds)) token ids that \(names.noun)s share, the expert of the same token still tells "
            + "\(Prose.number(best.within.value)) bits\(Prose.interval(best.within)) about its \(names.noun) in layer \(best.layer), where "
            + "\(Prose.number(best.information)) are told when the token is not held fixed; beyond chance in \(real) of "
            + "\(Prose.plural(metric.layers.count, "layer"))."
    }

    /// A paragraph and a figure for the divergence section.
    var parallelTexts: (text: String, figure: Figure)? {
        guard let metric = metrics.result(ParallelDivergenceMetric.self), !metric.layers.isEmpty,
            let low = metric.layers.min(by: { $0.mean.value < $1.mean.value }),
            let high = metric.layers.max(by: { $0.mean.value < $1.mean.value })
        else { return nil }
        let first = metric.layers[0]
        let last = metric.layers[metric.layers.count - 1]
        let inner = low.layer != first.layer && low.layer != last.layer
        let shape =
            inner && (first.mean.lower ?? 0) > (low.mean.upper ?? 1) && (last.mean.lower ?? 0) > (low.mean.upper ?? 1)
            ? "a U over the layers, as published for larger models"
            : "no U over the layers, unlike what is published for larger models"
        return (
            "For the same text in two \(names.noun)s the normalized divergence goes from \(Prose.number(low.mean.value)) in layer \(low.layer) to "
                + "\(Prose.number(high.mean.value)) in layer \(high.layer) (\(Prose.count(first.texts)) texts): \(shape).",
            StructureFigures.parallelDivergence(layers: depth)
        )
    }

    var expertCards: Section? {
        let cards = ExpertCards(metrics: metrics, names: names, experiment: experiment, layer: mostInformativeLayer).all
        guard !cards.isEmpty, let metric = metrics.result(VocabularyMetric.self) else { return nil }
        let layer = metric.layers.first { $0.layer == mostInformativeLayer && $0.side == .input }
        return Section(
            id: "experts", title: "Who the experts are",
            lead:
                "Expert by expert: whom it serves more than its even share, and the tokens that go nowhere else as often, and how much weight it carries where it is chosen."
                + (layer.map {
                    " In layer \($0.layer) a token's favourite expert gets \(Prose.percent($0.specialization)) of its occurrences."
                } ?? ""),
            control: cards.contains { $0.layer != mostInformativeLayer } ? slider([]) : nil,
            method: method(VocabularyMetric.definition, sample: metric.sample)
                + " A figure after a \(names.noun) is its share of assignments as a multiple of an even share, where it differs from the others' at q < \(Findings.level).",
            downloads: ["vocabulary", "vocabulary-layers", "domain-share"]
                + (metrics.expertConfidence == nil ? [] : [ExpertConfidenceMetric.definition.name]), part: .cards,
            cards: cards)
    }

    var paths: Section? {
        guard let metric = metrics.result(PathMetric.self), let best = metric.paths.first,
            let tied = metric.layers.max(by: { $0.information.value < $1.information.value })
        else { return nil }
        return Section(
            id: "paths", title: "Paths from layer to layer",
            lead:
                "The most frequent path, \(best.experts.map(String.init).joined(separator: "–")), is taken by \(Prose.percent(best.share)) of tokens, "
                + "\(Prose.number(best.share / max(best.independent, 1e-12))) times what independent layers would give; most is carried over from layer "
                + "\(tied.layer) to \(tied.nextLayer), \(Prose.number(tied.information.value)) bits\(Prose.interval(tied.information)).",
            figures: [StructureFigures.flows(metric, experts: manifest.model.experts)],
            method: method(PathMetric.definition, sample: metric.sample),
            downloads: ["paths", "paths-layers", "paths-frequent"])
    }

    var cache: Section? {
        guard let metric = metrics.result(ExpertCacheMetric.self) else { return nil }
        let half = max(1, manifest.model.experts / 2)
        let rows = metric.rows.filter { $0.policy == .lru && $0.slots == half }
        guard !rows.isEmpty else { return nil }
        let mean = rows.reduce(0) { $0 + $1.hitRatio.value } / Double(rows.count)
        let best = metric.rows.filter { $0.policy == .belady && $0.slots == half }
        let bound = best.isEmpty ? mean : best.reduce(0) { $0 + $1.hitRatio.value } / Double(best.count)
        return Section(
            id: "cache", title: "If experts had to be fetched",
            lead:
                "A cache of \(half) of \(manifest.model.experts) experts per layer that drops the least recently used finds \(Prose.percent(mean)) of experts "
                + "already there, on average over layers; knowing the future it would be \(Prose.percent(bound)).",
            control: slider(["figure-cache"]), figures: [StructureFigures.cache(layer: mostInformativeLayer)],
            method: method(ExpertCacheMetric.definition, sample: metric.sample), downloads: ["expert-cache"])
    }

    var heads: Section? {
        guard let metric = metrics.result(AttentionMetric.self),
            let sink = metric.heads.max(by: { $0.first.value < $1.first.value }),
            let previous = metric.heads.max(by: { $0.previous.value < $1.previous.value })
        else { return nil }
        return Section(
            id: "heads", title: "What attention heads look at",
            lead:
                "Head \(sink.head) of layer \(sink.layer) rests on the first token (\(Prose.percent(sink.first.value)) of its mass); head \(previous.head) of layer "
                + "\(previous.layer) looks at the token before (\(Prose.percent(previous.previous.value))).",
            figures: [StructureFigures.heads()],
            method: method(AttentionMetric.definition, sample: metric.sample), downloads: ["attention"])
    }

    var agreement: Section? {
        guard let metric = metrics.result(AgreementMetric.self),
            let least = metric.layers.min(by: { $0.overlap.value < $1.overlap.value }),
            let all = metric.effects.first
        else { return nil }
        return Section(
            id: "agreement", title: "Beside another trace of the same tokens",
            lead:
                "\(metric.models.joined(separator: " and ")) agree least in layer \(least.layer), where \(Prose.percent(least.overlap.value)) of a token's experts are the "
                + "same\(Prose.percentInterval(least.overlap)); negative log-likelihood \(Prose.number(all.first)) and \(Prose.number(all.second)) nats per token.",
            figures: [StructureFigures.agreement(layers: depth)],
            method: method(AgreementMetric.definition, sample: metric.sample),
            downloads: ["agreement", "agreement-margins", "agreement-nll"])
    }

    /// Is what groups differ in still there without sentence starts and first tokens?
    var positions: Section? {
        guard let metric = metrics.result(PositionMetric.self) else { return nil }
        func rows(_ place: PositionMetric.Place) -> [PositionMetric.Row] { metric.rows.filter { $0.place == place } }
        func furthest(_ place: PositionMetric.Place) -> (layer: Int, divergence: Estimate)? {
            rows(place).compactMap { row in row.divergence.map { (row.layer, $0) } }.max { $0.1.value < $1.1.value }
        }
        guard let early = furthest(.early) else { return nil }
        var lead =
            "The first \(PositionMetric.earlyTokens) tokens of a document are routed most differently from the rest in layer "
            + "\(early.layer): \(Prose.number(early.divergence.value)) nats\(Prose.interval(early.divergence)) of at most 0.69"
        if let start = furthest(.sentenceStart) {
            lead +=
                "; tokens that begin a sentence in layer \(start.layer): "
                + "\(Prose.number(start.divergence.value))\(Prose.interval(start.divergence))"
        }
        let all = rows(.all).compactMap { row in row.information.map { (row.layer, $0) } }
        var paragraphs: [String] = []
        if let best = all.max(by: { $0.1.value < $1.1.value }),
            let rest = rows(.later).first(where: { $0.layer == best.0 })?.information
        {
            paragraphs.append(
                "Without those first tokens experts still tell \(Prose.number(rest.value)) bits\(Prose.interval(rest)) about the "
                    + "\(names.noun) in layer \(best.0), of \(Prose.number(best.1.value)) with them.")
        }
        return Section(
            id: "positions", title: "Whether the place in the text matters", lead: lead + ".", paragraphs: paragraphs,
            figures: [StructureFigures.positions(layers: depth)],
            method: method(PositionMetric.definition, sample: metric.sample), downloads: ["positions"])
    }

    /// Experts guessed from earlier layers, where the trace has guesses.
    var speculation: Section? {
        guard let metric = metrics.result(SpeculationMetric.self) else { return nil }
        let found = metric.rows.compactMap { row in row.layer == nil ? row.recall.map { (row, $0) } : nil }
        guard !found.isEmpty else { return nil }
        let parts = found.map { row, recall in
            "\(Prose.percent(recall.value))\(Prose.percentInterval(recall)) \(Prose.plural(row.ahead, "layer")) ahead"
        }
        let popular = found.first?.0.popular.map {
            "always guessing a layer's most used experts finds \(Prose.percent($0.value)), "
        }
        return Section(
            id: "speculation", title: "If experts were fetched before they are asked for",
            lead: "A later layer's router, shown an earlier layer's residual stream, names the right experts for "
                + "\(Prose.list(parts)); \(popular ?? "")chance \(Prose.percent(metric.chance)).",
            figures: [StructureFigures.speculation(layers: depth)],
            method: method(SpeculationMetric.definition, sample: metric.sample), downloads: ["speculation"])
    }

    /// Where earlier checkpoints were given.
    var saturation: Section? {
        guard let metric = metrics.result(SaturationMetric.self), let first = metric.rows.first,
            let last = metric.rows.last
        else { return nil }
        func mean(_ place: Int) -> Double {
            let rows = metric.rows.filter { $0.place == place }
            return rows.reduce(0) { $0 + $1.overlap.value } / Double(rows.count)
        }
        return Section(
            id: "saturation", title: "When routing settles",
            lead:
                "Averaged over layers, \(Prose.percent(mean(first.place))) of a token's experts in \(first.trace) are those it has in "
                + "\(metric.traces.last ?? "the last")"
                + (last.place > first.place ? ", and \(Prose.percent(mean(last.place))) in \(last.trace)." : "."),
            figures: [StructureFigures.saturation(traces: metric.traces.dropLast())],
            method: method(SaturationMetric.definition, sample: metric.sample),
            downloads: ["saturation", "saturation-nll"])
    }
}
