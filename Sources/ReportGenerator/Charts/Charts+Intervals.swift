import FileFormats

extension Charts {
    /// Estimates one below the other, each a point on the line of its interval.
    /// - Parameters:
    ///   - row: the field that a row stands for.
    ///   - field: the value; its interval is in `field`_lower and `field`_upper.
    ///   - encoding: colours, and offsets of several estimates within a row.
    ///   - step: height of a row in pixels.
    static func intervals(
        _ rows: Rows, row: String, _ field: String, title: String, encoding: JSON, step: Int, tooltip: [Spec.Tip]
    ) -> Chart {
        let range: JSON = [
            "mark": ["type": "rule", "strokeWidth": 2, "opacity": 0.55],
            "encoding": [
                "x": Spec.quantitative(field + "_lower", title: title), "x2": ["field": .string(field + "_upper")],
            ],
        ]
        let point: JSON = [
            "mark": ["type": "point", "filled": true, "size": 55, "opacity": 1],
            "encoding": ["x": Spec.quantitative(field, title: title), "tooltip": Spec.tooltip(tooltip)],
        ]
        return Chart(
            Spec.wide(
                height: ["step": .int(step), "for": "position"],
                rows.json.merging([
                    "encoding": (["y": Spec.ordinal(row)] as JSON).merging(encoding), "layer": [range, point],
                ])),
            layout: .init(margin: 110))
    }
}
