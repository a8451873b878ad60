import RoutingMetrics

extension Sections {
    /// If experts had to be fetched.
    var cache: Section? {
        guard let metric = metrics.result(ExpertCacheMetric.self) else { return nil }
        let half = max(1, model.experts / 2)
        let rows = metric.rows.filter { $0.policy == .lru && $0.slots == half }
        guard !rows.isEmpty else { return nil }
        let mean = rows.reduce(0) { $0 + $1.hitRatio.value } / Double(rows.count)
        let best = metric.rows.filter { $0.policy == .belady && $0.slots == half }
        let bound = best.isEmpty ? mean : best.reduce(0) { $0 + $1.hitRatio.value } / Double(best.count)
        return Section(
            id: "cache", title: "How well a cache of experts would work",
            lead:
                "A cache that holds \(half) of a layer's \(Prose.plural(model.experts, "expert")) and drops the least recently used already has "
                + "\(Prose.percent(mean)) of the experts that tokens ask for, on average over layers. With knowledge of the future it would "
                + "have \(Prose.percent(bound)).",
            control: slider(["figure-cache"]), figures: [hitRatios],
            method: method(ExpertCacheMetric.definition, sample: metric.sample), downloads: ["expert-cache"])
    }

    /// Hit ratio by slots, one line per policy, at the layer of the slider.
    private var hitRatios: Figure {
        Figure(
            id: "figure-cache", label: "Lines of the hit ratio of an expert cache by its size, one per policy.",
            caption:
                "Share of requests whose expert is already in the cache, by the cache's slots per layer, in the layer of the slider. "
                + "LRU drops the least recently used expert, LFU the least frequently used. Belady's policy knows the future; no policy can do "
                + "better.",
            chart: Charts.lines(
                Rows("expert-cache", Spec.atLayer),
                x: [
                    "field": "slots", "type": "quantitative", "title": "slots per layer",
                    "scale": ["nice": false, "padding": 10], "axis": ["grid": false, "tickMinStep": 1],
                ], "hit_ratio", Measure("hit ratio", format: "%"),
                colour: Spec.category("policy", domain: ["lru", "lfu", "belady"]),
                tooltip: [("policy", "policy", nil), ("slots", "slots", nil)]
                    + Spec.estimate("hit_ratio", "hits", ".1%"),
                layer: mostInformativeLayer),
            shown: "expert-cache")
    }
}
