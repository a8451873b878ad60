import FileFormats
import RoutingMetrics

extension Sections {
    /// When routing settles, where earlier checkpoints were given.
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
                + (last.place > first.place ? ". In \(last.trace) it is \(Prose.percent(mean(last.place)))." : "."),
            figures: [overlapWithTheLast(of: metric.traces)],
            method: method(SaturationMetric.definition, sample: metric.sample),
            downloads: ["saturation", "saturation-nll"])
    }

    /// Agreement with the last trace of a series, one line per layer.
    private func overlapWithTheLast(of traces: [String]) -> Figure {
        let colour: JSON = [
            "field": "layer", "type": "quantitative", "title": "layer",
            "scale": ["scheme": ["name": "viridis", "extent": [0.2, 0.85]]],
            "legend": ["gradientLength": 160, "gradientThickness": 10, "tickMinStep": 1, "format": "d"],
        ]
        return Figure(
            id: "figure-saturation", label: "Lines of agreement with the last trace of the series, one per layer.",
            caption:
                "Share of a token's experts that are also its experts in the last trace. The traces stand in the order given. There is one "
                + "line per layer.",
            chart: Charts.lines(
                "saturation",
                x: Spec.ordinal(
                    "trace", sort: Spec.names(traces.dropLast()), axis: ["labelAngle": 0, "labelLimit": 120]),
                "overlap", Measure("share of experts", format: "%"), colour: colour,
                tooltip: [("trace", "trace", nil), ("layer", "layer", nil)]
                    + Spec.estimate("overlap", "same experts", ".1%")
                    + [("load_chance", "by chance", ".1%"), ("same_set", "all the same", ".1%")]),
            shown: "saturation")
    }
}
