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
                + "\(Prose.percent(best.share)) of tokens take it. \(independence(best))\(token(best)) "
                + "The dependence "
                + "between neighbouring layers is strongest from layer \(tied.layer) to layer "
                + "\(tied.nextLayer): \(Prose.number(tied.information.value)) bits\(Prose.interval(tied.information)). The load of "
                + "the documents alone would give \(Prose.number(tied.documentChance)) bits.",
            figures: [flows(metric)], method: method(PathMetric.definition, sample: metric.sample),
            downloads: ["paths", "paths-layers", "paths-frequent"])
    }

    /// Shares of products over many layers are too small to be read: how many times as many take the path.
    private func independence(_ path: PathMetric.Path) -> String {
        guard path.independent > 0 else { return "" }
        return
            "That is \(Prose.number(path.share / path.independent)) times as many as if layers were independent within each document. "
    }

    /// Which token takes a path most: a path may be no more than one token's.
    private func token(_ path: PathMetric.Path) -> String {
        let name =
            switch path.tokenText {
            case "⏎": "a line break"
            case "␣": "a space"
            case "⇥": "a tab"
            case let text?: "“\(text)”"
            case nil: "the token with id \(path.token)"
            }
        return path.tokenShare >= 0.5
            ? "\(Prose.percent(path.tokenShare)) of its tokens are \(name)."
            : "Its most frequent token is \(name), with \(Prose.percent(path.tokenShare)) of its tokens."
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
