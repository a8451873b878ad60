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
        let cards = ExpertCards(metrics: metrics, names: names, experiment: experiment, layer: liveliest).all
        guard !cards.isEmpty, let metric = metrics.result(VocabularyMetric.self) else { return nil }
        let layer = metric.layers.first { $0.layer == liveliest && $0.side == .input }
        return Section(
            id: "experts", title: "Who the experts are",
            lead:
                "Expert by expert: whom it serves more than its even share, and the tokens that go nowhere else as often, and how much weight it carries where it is chosen."
                + (layer.map {
                    " In layer \($0.layer) a token's favourite expert gets \(Prose.percent($0.specialization)) of its occurrences."
                } ?? ""),
            control: cards.contains { $0.layer != liveliest } ? slider([]) : nil,
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
            control: slider(["figure-cache"]), figures: [StructureFigures.cache(layer: liveliest)],
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
}
