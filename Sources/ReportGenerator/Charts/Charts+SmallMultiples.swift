import FileFormats

extension Charts {
    /// Which field the multiples are told apart by.
    struct Facet {
        var field: String
        /// In reading order.
        var values: [String]
        /// The heading of each; nil: the value itself.
        var headings: [String]?
    }

    /// One small chart per value of a field, side by side as far as there is room.
    /// - Parameters:
    ///   - each: what every one of them draws (`smallHeatMap`, `smallLines`).
    ///   - independent: whether each has a vertical axis of its own.
    static func smallMultiples(
        _ rows: Rows, by facet: Facet, each: JSON, independent: Bool = false, layout: Chart.Layout
    ) -> Chart {
        var field: JSONObject = [
            "field": .string(facet.field), "type": "nominal", "title": .null, "sort": Spec.names(facet.values),
        ]
        if let headings = facet.headings, let last = headings.last {
            let cases = zip(facet.values, headings).dropLast().map { "datum.value == '\($0)' ? '\($1)' : " }
            field["header"] = ["labelExpr": .string(cases.joined() + "'\(last)'")]
        }
        var members: JSONObject = [
            "$schema": Spec.schema, "facet": .object(field), "columns": "@columns", "spacing": 18, "spec": each,
        ]
        if independent { members["resolve"] = ["scale": ["y": "independent"]] }
        return Chart(rows.json.merging(.object(members)), layout: layout)
    }

    /// - Parameter step: height of a row in pixels.
    static func smallHeatMap(x: JSON, y: JSON, _ colour: HeatColour, step: Int, tooltip: [Spec.Tip]) -> JSON {
        [
            "width": "@cellWidth", "height": ["step": .int(step)],
            "mark": ["type": "rect", "stroke": "@paper", "strokeWidth": 1],
            "encoding": ["x": x, "y": y, "color": colour.encoding, "tooltip": Spec.tooltip(tooltip)],
        ]
    }

    static func smallLines(x: JSON, y: JSON, colour: JSON, tooltip: [Spec.Tip]) -> JSON {
        (["width": "@cellWidth", "height": 200] as JSON).merging(Emphasis.light.mark).merging([
            "encoding": ["x": x, "y": y, "color": colour, "tooltip": Spec.tooltip(tooltip)]
        ])
    }
}
