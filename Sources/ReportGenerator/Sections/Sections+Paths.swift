import RoutingMetrics

extension Sections {
    /// Paths from layer to layer.
    var paths: Section? {
        guard let metric = metrics.result(PathMetric.self), let best = metric.paths.first,
            let tied = metric.layers.max(by: { $0.information.value < $1.information.value })
        else { return nil }
        return Section(
            id: "paths", title: "Paths from layer to layer",
            lead:
                "The most frequent path of first choices through the layers is \(best.experts.map(String.init).joined(separator: "–")). "
                + "\(Prose.percent(best.share)) of tokens take it, \(Prose.number(best.share / max(best.independent, 1e-12))) times as many as if "
                + "layers were independent. The dependence between neighbouring layers is strongest from layer \(tied.layer) to layer "
                + "\(tied.nextLayer): \(Prose.number(tied.information.value)) bits\(Prose.interval(tied.information)).",
            figures: [flows(metric)], method: method(PathMetric.definition, sample: metric.sample),
            downloads: ["paths", "paths-layers", "paths-frequent"])
    }

    /// First choices flowing from each layer to the next.
    private func flows(_ metric: PathMetric) -> Figure {
        // Every thin band of a deep model would make a large page of hair.
        let least = metric.layers.count >= 12 ? 0.02 : 0.005
        return Figure(
            id: "figure-paths", label: "Flow diagram of first choices from each layer to the next.",
            caption:
                "First choices from layer to layer. Every column is a layer. Every block is an expert, 0 on top, as tall as its share of "
                + "tokens. Every band is the tokens that go from one expert to another. Bands of less than \(Prose.percent(least)) of "
                + "tokens are left out.",
            chart: Charts.flows(
                metric.transitions.map {
                    .init(
                        column: $0.layer, block: $0.expert, nextColumn: $0.nextLayer, nextBlock: $0.nextExpert,
                        count: $0.count)
                }, blocks: model.experts, least: least, column: "layer", block: "expert", unit: "tokens"),
            shown: "paths-frequent")
    }
}
