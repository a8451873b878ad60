import FileFormats
import RoutingMetrics

extension Sections {
    /// Experts guessed from earlier layers, where the trace has guesses.
    var speculation: Section? {
        guard let metric = metrics.result(SpeculationMetric.self) else { return nil }
        let found = metric.rows.compactMap { row in row.layer == nil ? row.recall.map { (row, $0) } : nil }
        guard !found.isEmpty else { return nil }
        let parts = found.map { row, recall in
            "\(Prose.percent(recall.value))\(Prose.percentInterval(recall)) from \(Prose.plural(row.ahead, "layer")) ahead"
        }
        let popular = found.first.flatMap { row, _ in
            row.popular.map {
                "Always predicting the most used experts of a layer finds \(Prose.percent($0.value))"
                    + (row.documentPopular.map { "; those of the document, in hindsight, \(Prose.percent($0.value))" }
                        ?? "")
                    + ". "
            }
        }
        return Section(
            id: "speculation", title: "Whether experts can be predicted from earlier layers",
            lead:
                "A layer's router can be applied to the residual stream of an earlier layer, to predict its experts. It finds "
                + "\(Prose.list(parts)). \(shuffledRecall(found.map(\.0)))\(popular ?? "")Choosing at random finds "
                + "\(Prose.percent(metric.chance)).",
            figures: [recallByLayer], method: method(SpeculationMetric.definition, sample: metric.sample),
            downloads: ["speculation"])
    }

    /// The same guesses for other tokens of the document.
    private func shuffledRecall(_ rows: [SpeculationMetric.Row]) -> String {
        let held = rows.compactMap { row in row.shuffled.map { (row, $0) } }
        guard !held.isEmpty else { return "" }
        let parts = held.map { row, shuffled in
            "\(Prose.percent(shuffled.expected)) from \(Prose.plural(row.ahead, "layer")) ahead, and the recall is "
                + "\(Prose.number(shuffled.ratio.value)) times that\(Prose.interval(shuffled.ratio))"
        }
        let unclear = held.filter { !$0.1.isAbove && !$0.1.isBelow }.map { Prose.plural($0.0.ahead, "layer") }
        return
            "The same predictions for the tokens of each document in a random order find \(parts.joined(separator: "; ")). "
            + (unclear.isEmpty ? "" : "A difference was not found from \(Prose.list(unclear)) ahead. ")
    }

    /// Recall of guessed experts by layer, one line per distance, beside the layer's most used experts and chance.
    private var recallByLayer: Figure {
        let rows = Rows(
            "speculation", ["filter": "datum.layer != 'all' && isValid(datum.recall)"],
            ["calculate": "toNumber(datum.layer)", "as": "layer"])
        let recall = Measure("recall", format: "%")
        return Figure(
            id: "figure-speculation", label: "Lines of the recall of guessed experts by layer, one per distance.",
            caption:
                "Share of a layer's chosen experts that its router predicts from the residual stream so many layers earlier. The dashed "
                + "lines are the same predictions for the tokens of each document in a random order. The dotted line chooses at random.",
            chart: Charts.lines(
                rows, x: Spec.layerAxis(depth), "recall", recall,
                colour: Spec.category("ahead", title: "layers ahead").merging(["type": "ordinal"]),
                tooltip: [("layer", "layer", nil), ("ahead", "layers ahead", nil)]
                    + Spec.estimate("recall", "recall", ".1%")
                    + [
                        ("chance_document", "random order within documents", ".1%"), ("ratio", "ratio", ".3"),
                        ("popular", "most used", ".1%"), ("chance", "chance", ".1%"),
                    ],
                behind: [
                    Marks.line(rows, "chance", recall, colour: "@muted", dash: .dotted),
                    Marks.line(rows, "chance_document", recall, colour: "@muted", dash: .dashed, detail: "ahead"),
                ]),
            shown: "speculation")
    }
}
