import RoutingMetrics

extension Sections {
    /// What attention heads look at.
    var heads: Section? {
        guard let metric = metrics.result(AttentionMetric.self),
            let sink = metric.heads.max(by: { $0.first.value < $1.first.value }),
            let previous = metric.heads.max(by: { $0.previous.value < $1.previous.value })
        else { return nil }
        return Section(
            id: "heads", title: "What attention heads attend to",
            lead:
                "Head \(sink.head) of layer \(sink.layer) puts the largest share of its attention on the first token "
                + "(\(Prose.percent(sink.first.value))). Head \(previous.head) of layer \(previous.layer) puts the largest share on the previous "
                + "token (\(Prose.percent(previous.previous.value))).",
            figures: [headsInEveryLayer], method: method(AttentionMetric.definition, sample: metric.sample),
            downloads: ["attention"])
    }

    /// Layer × head, one small multiple per statistic that is a share.
    private var headsInEveryLayer: Figure {
        Figure(
            id: "figure-heads", label: "Heat maps of layer by attention head, one per statistic.",
            caption:
                "Where each head's attention goes, averaged over tokens: the share on the first token, the share on the previous token, and "
                + "the largest share on any token. The darker a cell, the larger the share.",
            chart: Charts.smallMultiples(
                Rows("attention", ["fold": ["first", "previous", "largest"], "as": ["statistic", "value"]]),
                by: .init(
                    field: "statistic", values: ["first", "previous", "largest"],
                    headings: ["first token", "previous token", "largest weight"]),
                each: Charts.smallHeatMap(
                    x: Spec.columns("head", title: "head"),
                    y: Spec.ordinal("layer", title: "layer", axis: ["labelOverlap": true]),
                    .amount(of: "value", title: "mean share of attention", largest: 1, format: "%"),
                    step: layers.count > 16 ? 10 : 20,
                    tooltip: [
                        ("layer", "layer", nil), ("head", "head", nil), ("first", "first token", ".1%"),
                        ("previous", "previous token", ".1%"), ("largest", "largest weight", ".1%"),
                        ("entropy", "entropy, nats", ".2f"), ("distance", "distance, tokens", ".1f"),
                        ("router_correlation", "correlation with router entropy", ".2f"),
                    ]),
                layout: .init(columns: 3, cell: 230, margin: 58)),
            shown: "attention")
    }
}
