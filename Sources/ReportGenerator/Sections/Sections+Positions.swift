import FileFormats
import RoutingMetrics

extension Sections {
    /// Is what groups differ in still there without sentence starts and first tokens?
    var positions: Section? {
        guard let metric = metrics.result(PositionMetric.self) else { return nil }
        func rows(_ place: PositionMetric.Place) -> [PositionMetric.Row] { metric.rows.filter { $0.place == place } }
        func furthest(_ place: PositionMetric.Place) -> (layer: Int, divergence: Estimate)? {
            rows(place).compactMap { row in row.divergence.map { (row.layer, $0) } }.max { $0.1.value < $1.1.value }
        }
        guard let early = furthest(.early) else { return nil }
        func differ(_ tokens: String, _ found: (layer: Int, divergence: Estimate)) -> String {
            let numbers = "\(Prose.number(found.divergence.value)) nats\(Prose.interval(found.divergence))"
            return found.divergence.lower.map { $0 > 0 } ?? true
                ? "\(tokens) are routed most differently from the rest in layer \(found.layer): the divergence is \(numbers)."
                : "That \(tokens.prefix(1).lowercased())\(tokens.dropFirst()) are routed differently from the rest was not found; the largest divergence is \(numbers)."
        }
        var lead = differ("The first \(PositionMetric.earlyTokens) tokens of a document", early)
        if let start = furthest(.sentenceStart) { lead += " " + differ("Tokens that begin a sentence", start) }
        lead += " Tokens that shared no expert would have 0.69 nats."
        let all = rows(.all).compactMap { row in row.information.map { (row.layer, $0) } }
        var paragraphs: [String] = []
        if let best = all.max(by: { $0.1.value < $1.1.value }),
            let rest = rows(.later).first(where: { $0.layer == best.0 })?.information
        {
            paragraphs.append(
                "Without the first \(PositionMetric.earlyTokens) tokens, experts carry \(Prose.number(rest.value)) bits\(Prose.interval(rest)) about the "
                    + "\(names.noun) in layer \(best.0). With them, it is \(Prose.number(best.1.value)) bits.")
        }
        return Section(
            id: "positions", title: "Whether the position in the text matters", lead: lead, paragraphs: paragraphs,
            figures: [placesByLayer], method: method(PositionMetric.definition, sample: metric.sample),
            downloads: ["positions"])
    }

    /// Information about the group, and divergence from the other tokens, by place in the text.
    private var placesByLayer: Figure {
        // Of two places that are each other's rest, one line of divergence is enough.
        let apart = [PositionMetric.Place.sentenceStart, .early].map { "datum.place == '\($0.rawValue)'" }
        let filter =
            "isValid(datum.value) && (datum.quantity == 'information' || \(apart.joined(separator: " || ")))"
        let colour = Spec.category("place", domain: Spec.names(PositionMetric.Place.allCases.map(\.rawValue)))
        return Figure(
            id: "figure-positions", label: "Lines by layer, one per place in the text: information and divergence.",
            caption:
                "Routing of tokens at different positions in the text, by layer. The first panel is the information about the group that "
                + "their experts carry, in bits, over these tokens alone. The second is the Jensen–Shannon divergence, in nats, of their "
                + "expert distribution from that of all remaining tokens.",
            chart: Charts.smallMultiples(
                Rows(
                    "positions", ["fold": ["information", "divergence"], "as": ["quantity", "value"]],
                    ["filter": .string(filter)]),
                by: .init(
                    field: "quantity", values: ["information", "divergence"],
                    headings: ["information about the group, bits", "divergence from the other tokens, nats"]),
                each: Charts.smallLines(
                    x: Spec.layerAxis(depth), y: Spec.quantitative("value", title: ""),
                    colour: colour.merging([
                        "legend": ["orient": "bottom", "columns": "@legendColumns", "labelLimit": 170]
                    ]),
                    tooltip: [("place", "tokens", nil), ("layer", "layer", nil)]
                        + Spec.estimate("information", "bits", ".3f") + Spec.estimate("divergence", "nats", ".4f")
                        + [("tokens", "tokens", ",d")]),
                independent: true, layout: .init(columns: 2, cell: 300, margin: 62)),
            shown: "positions")
    }
}
