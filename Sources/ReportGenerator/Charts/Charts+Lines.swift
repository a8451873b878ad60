import FileFormats

extension Charts {
    /// One value along an axis, as a line with points, and the band of its interval around it.
    /// - Parameters:
    ///   - field: the value; its interval is in `field`_lower and `field`_upper.
    ///   - behind: layers under it: references, single cases.
    static func lineWithBand(
        _ rows: Rows, x: JSON, _ field: String, _ measure: Measure, tooltip: [Spec.Tip], behind: [JSON] = []
    ) -> Chart {
        layered(
            x: x,
            behind + [
                Marks.band(rows, from: field + "_lower", to: field + "_upper", measure),
                Marks.line(rows, field, measure, colour: "@accent"),
                Marks.points(rows, field, measure, tooltip: tooltip),
            ])
    }

    /// A line with points for every value of a field.
    /// - Parameters:
    ///   - colour: the encoding that tells the lines apart.
    ///   - layer: where the page's slider starts, for a chart that follows it.
    static func lines(
        _ rows: Rows, x: JSON, _ field: String, _ measure: Measure, colour: JSON, tooltip: [Spec.Tip],
        emphasis: Emphasis = .strong, layer: Int? = nil, behind: [JSON] = []
    ) -> Chart {
        let line = rows.json.merging(
            emphasis.mark.merging([
                "encoding": ["y": measure.y(field), "color": colour, "tooltip": Spec.tooltip(tooltip)]
            ]))
        return layered(x: x, behind + [line], layer: layer)
    }

    /// How heavy lines with points are: few strong ones, or many light ones.
    enum Emphasis {
        case strong, light

        var mark: JSON {
            switch self {
            case .strong: ["mark": ["type": "line", "point": ["size": 40], "strokeWidth": 2]]
            case .light: ["mark": ["type": "line", "point": ["size": 25], "strokeWidth": 1.5]]
            }
        }
    }

    /// Layers over one horizontal axis.
    static func layered(x: JSON, _ layers: [JSON], layer: Int? = nil) -> Chart {
        var members: JSONObject = ["encoding": ["x": x], "layer": .array(layers)]
        members["params"] = layer.map(Spec.layerParameter)
        return Chart(Spec.wide(height: lineHeight, .object(members)))
    }
}
