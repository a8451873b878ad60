import FileFormats

/// Single layers of a chart: lines, bands and points.
enum Marks {
    enum Dash {
        case solid, dashed, dotted

        fileprivate var json: JSON? {
            switch self {
            case .solid: nil
            case .dashed: [5, 4]
            case .dotted: [1, 3]
            }
        }
    }

    /// The area between two fields.
    static func band(
        _ rows: Rows, from low: String, to high: String, _ measure: Measure, colour: String = "@accent",
        opacity: Double = 0.2
    ) -> JSON {
        rows.json.merging([
            "mark": ["type": "area", "color": .string(colour), "opacity": .double(opacity), "line": false],
            "encoding": ["y": measure.y(low), "y2": ["field": .string(high)]],
        ])
    }

    /// - Parameter detail: a field that has a line for each of its values.
    static func line(
        _ rows: Rows, _ field: String, _ measure: Measure, colour: String, dash: Dash = .solid, detail: String? = nil,
        width: Double? = nil, tooltip: [Spec.Tip] = []
    ) -> JSON {
        var mark: JSONObject = [
            "type": "line", "color": .string(colour), "strokeWidth": .double(width ?? (dash == .solid ? 2 : 1.5)),
        ]
        mark["strokeDash"] = dash.json
        var encoding: JSONObject = ["y": measure.y(field)]
        encoding["detail"] = detail.map { ["field": .string($0), "type": "nominal"] }
        if !tooltip.isEmpty { encoding["tooltip"] = Spec.tooltip(tooltip) }
        return rows.json.merging(["mark": .object(mark), "encoding": .object(encoding)])
    }

    /// A thin line for each pair of groups, behind their mean.
    static func pairs(_ table: String, _ field: String, _ measure: Measure) -> JSON {
        line(
            Rows(table, ["calculate": "datum.group_a + ' and ' + datum.group_b", "as": "pair"]), field, measure,
            colour: "@null", detail: "pair", width: 1,
            tooltip: [("pair", "pair", nil), (field, measure.title, ".3f")])
    }

    static func points(_ rows: Rows, _ field: String, _ measure: Measure, tooltip: [Spec.Tip]) -> JSON {
        rows.json.merging([
            "mark": ["type": "point", "filled": true, "size": 55, "opacity": 1, "color": "@accent"],
            "encoding": ["y": measure.y(field), "tooltip": Spec.tooltip(tooltip)],
        ])
    }
}
