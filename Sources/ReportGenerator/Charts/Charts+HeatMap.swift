import FileFormats

extension Charts {
    /// What the colour of a heat map's cells says.
    enum HeatColour {
        /// A share as a multiple of the uniform one, on a logarithmic scale: paper where they are equal, blue above, brown below.
        case lift(of: String, uniform: Double)
        /// A value from 0 to the largest, the darker the more.
        case amount(of: String, title: String, largest: Double, format: String?)

        /// What has to be computed for it first.
        var transform: [JSON] {
            switch self {
            case .lift(let field, let uniform):
                // The smallest ratio is ¹⁄₁₀₀₀₀, so that a share of nothing has a logarithm.
                [["calculate": .string("log(max(datum.\(field) / \(uniform), 0.0001)) / LN2"), "as": "lift"]]
            case .amount: []
            }
        }

        var encoding: JSON {
            switch self {
            case .lift:
                [
                    "field": "lift", "type": "quantitative", "title": "multiple of a uniform share",
                    "scale": [
                        "domain": [-2, -1, 0, 1, 2], "range": "@diverging", "clamp": true, "interpolate": "lab",
                    ],
                    "legend": Spec.gradient().merging([
                        "values": [-2, -1, 0, 1, 2],
                        "labelExpr":
                            "datum.value <= -2 ? '≤ ¼×' : datum.value == -1 ? '½×' : datum.value == 0 ? 'uniform' : datum.value == 1 ? '2×' : '≥ 4×'",
                    ]),
                ]
            case .amount(let field, let title, let largest, let format):
                [
                    "field": .string(field), "type": "quantitative", "title": .string(title),
                    "scale": ["range": "@sequential", "domain": [0, .double(largest)], "interpolate": "lab"],
                    "legend": Spec.gradient(format: format),
                ]
            }
        }

        /// The numbers in the cells: dark text on pale cells and the reverse.
        fileprivate func text(format: String) -> JSON {
            let (field, test): (String, String) =
                switch self {
                case .lift(let field, _): (field, "datum.lift > 1.4 || datum.lift < -1.5")
                case .amount(let field, _, let largest, _): (field, "datum.\(field) > \(0.62 * largest)")
                }
            return [
                "mark": ["type": "text", "fontSize": 11],
                "encoding": [
                    "text": ["field": .string(field), "type": "quantitative", "format": .string(format)],
                    "color": ["condition": ["test": .string(test), "value": "@paper"], "value": "@ink"],
                ],
            ]
        }
    }

    /// Cells of rows and columns, coloured by a value.
    /// - Parameters:
    ///   - text: a d3 format for the numbers in the cells; nil: none.
    ///   - step: height of a row in pixels.
    ///   - layer: where the page's slider starts, for a map that shows one layer at a time.
    static func heatMap(
        _ rows: Rows, x: JSON, y: JSON, _ colour: HeatColour, text: String?, step: Int, tooltip: [Spec.Tip],
        layer: Int? = nil, margin: Int = Chart.Layout().margin
    ) -> Chart {
        var rows = rows
        if layer != nil { rows.transform.insert(Spec.atLayer, at: 0) }
        rows.transform += colour.transform
        let cells: JSON = [
            // Between narrow cells of many columns as much paper would leave no colour.
            "mark": ["type": "rect", "stroke": "@paper", "strokeWidth": "@gap"],
            "encoding": ["color": colour.encoding],
        ]
        var members: JSONObject = [
            "encoding": ["x": x, "y": y, "tooltip": Spec.tooltip(tooltip)],
            "layer": .array([cells] + (text.map { [colour.text(format: $0)] } ?? [])),
        ]
        members["params"] = layer.map(Spec.layerParameter)
        return Chart(
            Spec.wide(height: ["step": .int(step)], rows.json.merging(.object(members))),
            layout: .init(margin: margin))
    }
}
