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
                "The most frequent path, \(best.experts.map(String.init).joined(separator: "–")), is taken by \(Prose.percent(best.share)) of tokens, "
                + "\(Prose.number(best.share / max(best.independent, 1e-12))) times what independent layers would give; most is carried over from layer "
                + "\(tied.layer) to \(tied.nextLayer), \(Prose.number(tied.information.value)) bits\(Prose.interval(tied.information)).",
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
                "First choices from layer to layer: every column is a layer, every block an expert (0 on top) as tall as its share of "
                + "tokens, every band the tokens that go from one to the other. Bands of less than "
                + "\(Prose.percent(least)) of tokens are left out.",
            chart: Charts.flows(
                metric.transitions.map {
                    .init(
                        column: $0.layer, block: $0.expert, nextColumn: $0.nextLayer, nextBlock: $0.nextExpert,
                        count: $0.count)
                }, blocks: model.experts, least: least, column: "layer", block: "expert", unit: "tokens"),
            shown: "paths-frequent")
    }
}
