import FileFormats

/// A chart of the page and its words.
struct Figure: Sendable {
    let id: String
    /// What it shows, for someone who can't see it.
    let label: String
    let caption: String
    let chart: Chart
    /// The table under the figure; nil where another figure of the section already shows it.
    let shown: String?

    var json: JSON {
        var members: JSONObject = [
            "id": .string(id), "label": .string(label), "spec": chart.spec,
            "tables": .array(chart.tables.map { .string($0) }),
            "columns": .int(chart.layout.columns), "cell": .int(max(chart.layout.cell, 1)),
            "margin": .int(chart.layout.margin),
        ]
        members["layer"] = chart.layer.map { .int($0) }
        return .object(members)
    }
}
