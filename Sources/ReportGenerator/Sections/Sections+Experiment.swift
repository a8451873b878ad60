import RoutingMetrics

extension Sections {
    /// What came of an experiment, where one is given.
    var experimentSection: Section? {
        guard let experiment else { return nil }
        let random = experiment.contrasts.filter { $0.control == "random" }.compactMap { contrast in
            contrast.difference.map { "\(names.prose(contrast.target)) \(Self.nats($0))" }
        }
        let lead: String
        if !random.isEmpty {
            lead =
                "What changing a \(names.noun)'s own experts costs it beyond as many random ones of the same layers, in nats per token: "
                + "\(Prose.list(random))."
        } else if let most = experiment.effects.filter({ $0.group == "all" && $0.difference != nil }).max(by: {
            ($0.difference?.value ?? 0) < ($1.difference?.value ?? 0)
        }), let difference = most.difference {
            lead = "The dearest change is \(most.arm): \(Self.nats(difference)) nats per token over all documents."
        } else {
            lead = "Too few documents to put an interval around any effect."
        }
        return Section(
            id: "experiment", title: "What an experiment shows: \(experiment.kind)", lead: lead,
            figures: [ExperimentFigures.figure(experiment)].compactMap(\.self),
            method:
                "Negative log-likelihood per token of every changed model less the untouched model's, paired by document. "
                + "p-values from flipping signs over documents, q-values are Benjamini–Hochberg's. "
                + "\(Prose.plural(experiment.documents, "document")), \(Prose.plural(experiment.tokens, "predicted token")); "
                + "\(Prose.count(experiment.settings.bootstrap)) bootstrap replicates, seed \(experiment.settings.seed).",
            downloads: experiment.tables.map(\.name))
    }

    private static func nats(_ estimate: Estimate) -> String {
        (estimate.value > 0 ? "+" : "") + Prose.number(estimate.value) + Prose.interval(estimate)
    }
}

/// Effects with their intervals, beside zero.
enum ExperimentFigures {
    /// More rows than this are read in the table.
    private static let largest = 80

    /// Contrasts with the controls where there are any, otherwise every change's effect over all documents.
    static func figure(_ experiment: ReportedExperiment) -> Figure? {
        let changes = Set(experiment.effects.map(\.arm)).count
        if experiment.contrasts.contains(where: { $0.difference != nil }) {
            return figure(
                label: "Points with intervals: what each group's own experts cost it beyond the controls.",
                caption:
                    "What changing a group's own experts costs it beyond each control, with 95 % intervals: random experts of the same "
                    + "layers, the same experts of other layers, the own experts of other groups. Right of zero: its own matter more.",
                table: "experiment-contrasts", row: "target",
                transform: [["filter": "isValid(datum.difference)"]],
                more: [
                    "color": [
                        "field": "control", "type": "nominal", "title": .null, "scale": ["range": "@category"],
                    ], "yOffset": ["field": "control"],
                ], step: 34)
        }
        guard changes <= largest, experiment.effects.contains(where: { $0.difference != nil }) else { return nil }
        return figure(
            label: "Points with intervals: the effect of every change over all documents.",
            caption:
                "What every change costs over all documents, with 95 % intervals. Right of zero: prediction is worse.",
            table: "experiment-effects", row: "arm",
            transform: [["filter": "datum.group == 'all' && isValid(datum.difference)"]],
            more: ["color": ["value": "@accent"]], step: 17)
    }

    private static func figure(
        label: String, caption: String, table: String, row: String, transform: JSON, more: JSON, step: Int
    ) -> Figure {
        Figure(
            id: "figure-experiment", label: label, caption: caption,
            spec: Spec.wide(
                height: ["step": .integer(step), "for": "position"],
                [
                    "data": Spec.data(table), "transform": transform,
                    "encoding": (["y": Spec.ordinal(row)] as JSON).merging(more),
                    "layer": [
                        [
                            "mark": ["type": "rule", "strokeWidth": 2, "opacity": 0.55],
                            "encoding": [
                                "x": Spec.quantitative("difference_lower", title: "nats per token"),
                                "x2": ["field": "difference_upper"],
                            ],
                        ],
                        [
                            "mark": ["type": "point", "filled": true, "size": 55, "opacity": 1],
                            "encoding": [
                                "x": Spec.quantitative("difference", title: "nats per token"),
                                "tooltip": Spec.tooltip([
                                    (row, row, nil), ("difference", "nats per token", ".3f"),
                                    ("difference_lower", "95 % from", ".3f"), ("difference_upper", "to", ".3f"),
                                    ("documents", "documents", ",d"), ("q_value", "q", ".4f"),
                                ]),
                            ],
                        ],
                    ],
                ]),
            tables: [table], shown: table, layout: .init(margin: 110))
    }
}
