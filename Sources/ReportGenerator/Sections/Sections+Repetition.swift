import FileFormats
import RoutingMetrics

extension Sections {
    /// Whether neighbouring tokens keep their expert.
    var repetition: Section? {
        guard let metric = metrics.repetition else { return nil }
        return Section(
            id: "repetition", title: "Whether neighbouring tokens go to the same expert", lead: repetitionLead(metric),
            figures: [
                repetitionByDepth(
                    "first", label: "Lines of how often neighbouring tokens have the same first expert, by layer.",
                    caption: "Share of tokens whose first expert is also the first expert of the token before.",
                    shown: "repetition"),
                repetitionByDepth(
                    "any", label: "Lines of how often neighbouring tokens share any expert, by layer.",
                    caption: "Share of tokens that have at least one expert in common with the token before.",
                    shown: nil),
            ],
            method: method(RepetitionMetric.definition, sample: metric.sample),
            downloads: ["repetition", PublishedRepetition.table.name], tables: [PublishedRepetition.table])
    }

    private func repetitionLead(_ metric: RepetitionMetric) -> String {
        let rows = metric.pooled
        let tested = rows.count { $0.firstShuffled?.adjustedP != nil }
        guard tested > 0 else {
            return
                "Whether a token has the first expert of the token before it more often than chance gives cannot be tested: "
                + "there are too few documents, or they do not differ."
        }
        let (above, below) = (metric.aboveChance, metric.belowChance)
        // What is quoted was found; where nothing was, the largest ratio says how far the data went.
        let quoted =
            metric.strongest ?? below.min { $0.ratioToChance < $1.ratioToChance }
            ?? rows.max { $0.ratioToChance < $1.ratioToChance }
        guard let quoted, let first = quoted.first, let shuffled = quoted.firstShuffled else { return "" }
        let numbers =
            "In layer \(quoted.layer), \(Prose.percent(first.value)) of tokens have the first expert of the token before "
            + "them\(Prose.percentInterval(first)). With the tokens of each document in a random order, "
            + "\(Prose.percent(shuffled.expected)) would; the share is \(Prose.number(shuffled.ratio.value)) times "
            + "that\(Prose.interval(shuffled.ratio))."
        let layers = Prose.plural(tested, "layer")
        guard !above.isEmpty || !below.isEmpty else {
            return "\(numbers) In none of \(layers) was a difference from a random order found."
        }
        let counts = [(above, "more"), (below, "less")].filter { !$0.0.isEmpty }.map { found, word in
            "\(word) often in \(found.count)"
        }
        return
            "\(numbers) The same first expert as the token before was found \(counts.joined(separator: ", and ")) of \(layers) "
            + "(p < \(Verdict.level) for all tests together)."
    }

    /// Repetition beside chance and the published numbers of Mixtral, on a common axis of relative depth.
    /// - Parameter field: "first" or "any".
    private func repetitionByDepth(_ field: String, label: String, caption: String, shown: String?) -> Figure {
        let measure = Measure("share of tokens", format: "%")
        let ours = Rows(
            "repetition", ["filter": "datum.pooled == 1"],
            ["calculate": .string("datum.layer / \(max(model.layers - 1, 1))"), "as": "depth"])
        let published = Rows(PublishedRepetition.table.name, ["filter": .string("datum.kind == '\(field)'")])
        return Figure(
            id: "figure-repetition-\(field)", label: label,
            caption: caption
                + " The line is this model with its 95 % interval. The dashed line is the share with the tokens of each document "
                + "in a random order, the dotted line for uniform load. The marks are Mixtral-8x7B on eight kinds of text (Table 5 of arXiv 2401.04088).",
            chart: Charts.lineWithBand(
                ours,
                x: [
                    "field": "depth", "type": "quantitative",
                    "title": "depth in the network (0: first layer, 1: last)",
                    "scale": ["domain": [0, 1], "nice": false, "padding": 12],
                    "axis": ["grid": false, "tickCount": 5],
                ], field, measure,
                tooltip: [("layer", "layer", nil)] + Spec.estimate(field, "repeated", ".1%") + [
                    ("chance_document_" + field, "random order within documents", ".1%"),
                    ("ratio_" + field, "ratio", ".3"), ("p_adjusted_" + field, "p, adjusted", ".2~g"),
                    ("load_chance_" + field, "independent draws, all documents", ".1%"),
                    ("chance_" + field, "independent draws, uniform load", ".1%"),
                ],
                behind: [
                    published.json.merging([
                        "mark": ["type": "point", "shape": "diamond", "color": "@muted", "size": 40, "opacity": 0.8],
                        "encoding": [
                            "y": measure.y("share"),
                            "tooltip": Spec.tooltip([
                                ("corpus", "Mixtral-8x7B on", nil), ("layer", "layer", nil), ("share", "share", ".1%"),
                            ]),
                        ],
                    ]),
                    Marks.line(ours, "chance_" + field, measure, colour: "@muted", dash: .dotted),
                    Marks.line(ours, "chance_document_" + field, measure, colour: "@muted", dash: .dashed),
                ]),
            shown: shown)
    }
}

extension RepetitionMetric.Row {
    fileprivate var ratioToChance: Double { firstShuffled?.ratio.value ?? 1 }
}

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
