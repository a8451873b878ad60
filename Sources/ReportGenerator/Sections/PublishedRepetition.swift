import RoutingMetrics

/// Mixtral-8x7B's repeated assignments (Table 5 of arXiv 2401.04088), to hold a model's own against.
enum PublishedRepetition {
    static let source = "Mixtral of Experts (arXiv 2401.04088), Table 5"

    /// Percent of repeated assignments in layers 0, 15 and 31: first choice, then first or second.
    private static let rows: [(corpus: String, first: [Double], any: [Double])] = [
        ("ArXiv", [14.0, 27.9, 22.7], [46.5, 62.3, 52.9]),
        ("DM Mathematics", [14.1, 28.4, 19.7], [44.9, 67.0, 44.5]),
        ("Github", [14.9, 28.1, 19.7], [49.9, 66.9, 49.2]),
        ("Gutenberg", [13.9, 26.1, 26.3], [49.5, 63.1, 52.2]),
        ("PhilPapers", [13.6, 25.3, 22.1], [46.9, 61.9, 51.3]),
        ("PubMed", [14.2, 24.6, 22.0], [48.6, 61.6, 51.8]),
        ("StackExchange", [13.6, 27.2, 23.6], [48.2, 64.6, 53.6]),
        ("Wikipedia", [14.4, 23.6, 25.3], [49.8, 62.1, 51.8]),
    ]
    private static let layers = [0, 15, 31]

    static let table = MetricTable(
        name: "repetition-published", title: "Repeated assignments published for Mixtral-8x7B",
        columns: [
            MetricColumn("corpus", .text, "kind of text"),
            MetricColumn("layer", .integer, "layer of Mixtral-8x7B, from 0 to 31"),
            MetricColumn("depth", .real, "layer over 31"),
            MetricColumn("kind", .text, "first: the first choice is repeated; any: the first or second choice is"),
            MetricColumn("share", .real, "share of repeated assignments; " + source),
        ],
        rows: rows.flatMap { row in
            [("first", row.first), ("any", row.any)].flatMap { kind, percents in
                zip(layers, percents).map { layer, percent in
                    [
                        .text(row.corpus), .integer(layer), .real(Double(layer) / 31), .text(kind),
                        .real((percent / 100).rounded(significant: 4)),
                    ]
                }
            }
        })
}
