import FileFormats

extension Charts {
    /// Bars one below the other, of the layer that the page's slider says.
    /// - Parameters:
    ///   - row: the field that names a bar.
    ///   - order: the field that bars are sorted by, rising.
    ///   - layer: where the slider starts.
    static func bars(
        _ rows: Rows, row: String, order: String, _ field: String, title: String, format: String?, layer: Int,
        tooltip: [Spec.Tip]
    ) -> Chart {
        var rows = rows
        rows.transform.insert(Spec.atLayer, at: 0)
        return Chart(
            Spec.wide(
                height: ["step": 18],
                rows.json.merging([
                    "params": Spec.layerParameter(layer),
                    "mark": ["type": "bar", "color": "@accent", "opacity": 0.85],
                    "encoding": [
                        "y": Spec.ordinal(row, sort: ["field": .string(order), "op": "min"]),
                        "x": Spec.quantitative(field, title: title, format: format),
                        "tooltip": Spec.tooltip(tooltip),
                    ],
                ])), layout: .init(margin: 90))
    }
}
