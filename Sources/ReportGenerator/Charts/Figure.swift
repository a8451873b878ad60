/// A picture of one or more tables of the page: a Vega-Lite specification whose data are named, not copied.
struct Figure: Sendable {
    let id: String
    /// What it shows, for someone who can't see it.
    let label: String
    let caption: String
    /// Uses the tables of `tables` as named data, colours and sizes as "@names".
    let spec: JSON
    let tables: [String]
    /// The table under the figure; nil where another figure of the section already shows it.
    let shown: String?
    var layout = Layout()

    /// How the page shares its width among small multiples.
    struct Layout: Sendable {
        /// At most this many side by side.
        var columns = 1
        /// The least width in pixels each needs.
        var cell = 0
        /// Width in pixels taken by axes and legends around each.
        var margin = 68
    }

    var json: JSON {
        [
            "id": .string(id), "label": .string(label), "spec": spec,
            "tables": .array(tables.map { .string($0) }),
            "columns": .integer(layout.columns), "cell": .integer(max(layout.cell, 1)),
            "margin": .integer(layout.margin),
        ]
    }
}
