/// Figures that follow a number through the layers.
enum LayerFigures {
    /// Bits that the expert tells about the group, with its interval and what permuted labels give.
    static func information(layers: Int) -> Figure {
        Figure(
            id: "figure-information",
            label: "Line of information between group and expert by layer, with interval and null band.",
            caption:
                "Information between group and expert by layer. Band around the line: 95 % interval from a bootstrap over "
                + "documents. Grey band at the bottom: what remains when group labels are permuted over documents, mean to 95th percentile.",
            spec: Spec.wide(
                height: 230,
                [
                    "data": Spec.data("information"),
                    "encoding": ["x": Spec.layerAxis(layers)],
                    "layer": [
                        area("null_mean", "null_upper", colour: "@null", opacity: 0.7, title: "bits"),
                        area("information_lower", "information_upper", colour: "@accent", opacity: 0.2, title: "bits"),
                        line("information", colour: "@accent", title: "bits"),
                        points(
                            "information", colour: "@accent", title: "bits",
                            tooltip: [
                                ("layer", "layer", nil), ("information", "bits", ".3f"),
                                ("information_lower", "95 % from", ".3f"),
                                ("information_upper", "to", ".3f"), ("share", "share of the group's entropy", ".1%"),
                                ("null_upper", "permuted labels, up to", ".4f"), ("q_value", "q", ".4f"),
                            ]),
                    ],
                ]),
            tables: ["information"], shown: "information")
    }

    /// The divergence of the groups' expert distributions, averaged over pairs, through the layers.
    static func divergence(layers: Int) -> Figure {
        Figure(
            id: "figure-divergence", label: "Line of the divergence between groups by layer, with interval and null.",
            caption:
                "Jensen–Shannon divergence between the expert distributions of two groups by layer: mean over all pairs with its "
                + "95 % interval (blue), every pair (grey), and the mean when group labels are permuted over documents (dashed). "
                + "0: routed alike; ln 2 = 0.69: no expert in common.",
            spec: Spec.wide(
                height: 230,
                [
                    "encoding": ["x": Spec.layerAxis(layers)],
                    "layer": [
                        [
                            "data": Spec.data("divergence"),
                            "transform": [["calculate": "datum.group_a + ' and ' + datum.group_b", "as": "pair"]],
                            "mark": ["type": "line", "color": "@null", "strokeWidth": 1],
                            "encoding": [
                                "y": Spec.quantitative("divergence", title: "nats"),
                                "detail": ["field": "pair", "type": "nominal"],
                                "tooltip": Spec.tooltip([("pair", "pair", nil), ("divergence", "nats", ".3f")]),
                            ],
                        ],
                        overall(line("null_mean", colour: "@muted", title: "nats", dash: [5, 4])),
                        overall(area("mean_lower", "mean_upper", colour: "@accent", opacity: 0.2, title: "nats")),
                        overall(line("mean", colour: "@accent", title: "nats")),
                        overall(
                            points(
                                "mean", colour: "@accent", title: "nats",
                                tooltip: [
                                    ("layer", "layer", nil), ("mean", "mean over pairs", ".3f"),
                                    ("mean_lower", "95 % from", ".3f"),
                                    ("mean_upper", "to", ".3f"), ("null_mean", "permuted labels", ".4f"),
                                ])),
                    ],
                ]),
            tables: ["divergence", "divergence-layers"], shown: "divergence-layers")
    }

    /// Group × group at the layer of the slider.
    static func pairs(groups: [String], layer: Int, largest: Double) -> Figure {
        Figure(
            id: "figure-pairs", label: "Heat map of the divergence between every two groups at the layer chosen.",
            caption:
                "Jensen–Shannon divergence between the expert distributions of every two groups, in nats, at the layer of the slider.",
            spec: Spec.wide(
                height: ["step": 32],
                [
                    "data": Spec.data("divergence"), "params": Spec.layerParameter(layer), "transform": [Spec.atLayer],
                    "encoding": [
                        "x": Spec.ordinal("group_a", sort: names(groups), axis: ["labelAngle": 0]),
                        "y": Spec.ordinal("group_b", sort: names(groups)),
                        "tooltip": Spec.tooltip([
                            ("group_a", "group", nil), ("group_b", "and", nil), ("divergence", "nats", ".3f"),
                            ("divergence_lower", "95 % from", ".3f"), ("divergence_upper", "to", ".3f"),
                            ("q_value", "q", ".4f"),
                        ]),
                    ],
                    "layer": [
                        [
                            "mark": ["type": "rect", "stroke": "@paper", "strokeWidth": 1.5, "tooltip": true],
                            "encoding": [
                                "color": [
                                    "field": "divergence", "type": "quantitative", "title": "nats",
                                    "scale": [
                                        "range": "@sequential", "domain": [0, .number(largest)], "interpolate": "lab",
                                    ],
                                    "legend": [
                                        "orient": "bottom", "direction": "horizontal", "gradientLength": 160,
                                        "gradientThickness": 10,
                                    ],
                                ]
                            ],
                        ],
                        [
                            "mark": ["type": "text", "fontSize": 11],
                            "encoding": [
                                "text": ["field": "divergence", "type": "quantitative", "format": ".2f"],
                                "color": [
                                    "condition": [
                                        "test": .string("datum.divergence > \(0.62 * largest)"), "value": "@paper",
                                    ], "value": "@ink",
                                ],
                            ],
                        ],
                    ],
                ]),
            tables: ["divergence"], shown: "divergence", layout: .init(margin: 80))
    }

    /// Repetition beside chance and the published numbers of Mixtral, on a common axis of relative depth.
    static func repetition(_ kind: RepetitionKind, lastLayer: Int) -> Figure {
        let field = kind.rawValue
        let chance = "chance_\(field)"
        let loadChance = "load_chance_\(field)"
        func ours(_ layer: JSON) -> JSON {
            layer.merging([
                "data": Spec.data("repetition"),
                "transform": [
                    ["filter": "datum.group == 'all'"],
                    ["calculate": .string("datum.layer / \(max(lastLayer, 1))"), "as": "depth"],
                ],
            ])
        }
        return Figure(
            id: "figure-repetition-\(field)", label: kind.label,
            caption: kind.caption
                + " Line: this model, with its 95 % interval; dashed: chance under its measured load; dotted: chance under uniform load. "
                + "Marks: Mixtral-8x7B, eight kinds of text (Table 5 of arXiv 2401.04088).",
            spec: Spec.wide(
                height: 230,
                [
                    "encoding": [
                        "x": [
                            "field": "depth", "type": "quantitative",
                            "title": "depth in the network (0: first layer, 1: last)",
                            "scale": ["domain": [0, 1], "nice": false, "padding": 12],
                            "axis": ["grid": false, "tickCount": 5],
                        ]
                    ],
                    "layer": [
                        [
                            "data": Spec.data("repetition-published"),
                            "transform": [["filter": .string("datum.kind == '\(field)'")]],
                            "mark": [
                                "type": "point", "shape": "diamond", "color": "@muted", "size": 40, "opacity": 0.8,
                            ],
                            "encoding": [
                                "y": Spec.quantitative("share", title: "share of tokens", format: "%"),
                                "tooltip": Spec.tooltip([
                                    ("corpus", "Mixtral-8x7B on", nil), ("layer", "layer", nil),
                                    ("share", "share", ".1%"),
                                ]),
                            ],
                        ],
                        ours(line(chance, colour: "@muted", title: "share of tokens", dash: [1, 3])),
                        ours(line(loadChance, colour: "@muted", title: "share of tokens", dash: [5, 4])),
                        ours(
                            area(
                                field + "_lower", field + "_upper", colour: "@accent", opacity: 0.2,
                                title: "share of tokens")),
                        ours(line(field, colour: "@accent", title: "share of tokens", format: "%")),
                        ours(
                            points(
                                field, colour: "@accent", title: "share of tokens",
                                tooltip: [
                                    ("layer", "layer", nil), (field, "repeated", ".1%"),
                                    (field + "_lower", "95 % from", ".1%"),
                                    (field + "_upper", "to", ".1%"), (loadChance, "chance, measured load", ".1%"),
                                    (chance, "chance, uniform load", ".1%"),
                                ])),
                    ],
                ]),
            tables: ["repetition", "repetition-published"], shown: kind == .first ? "repetition" : nil)
    }

    /// Mean router entropy by layer, one line per group.
    /// - Parameter groups: those with enough documents; may be none.
    static func confidence(layers: Int, groups: [String]) -> Figure {
        let ofGroups: JSON = [
            "transform": [["filter": "datum.group != 'all'"]],
            "mark": ["type": "line", "point": ["size": 25], "strokeWidth": 1.5],
            "encoding": [
                "y": Spec.quantitative("entropy", title: "nats", zero: false),
                "color": [
                    "field": "group", "type": "nominal", "title": .null, "sort": names(groups),
                    "scale": ["range": "@category"],
                ],
                "tooltip": Spec.tooltip([
                    ("group", "group", nil), ("layer", "layer", nil), ("entropy", "nats", ".3f"),
                    ("entropy_lower", "95 % from", ".3f"), ("entropy_upper", "to", ".3f"),
                    ("choice_margin", "margin of the last choice", ".3f"),
                ]),
            ],
        ]
        let ofAll = (["transform": [["filter": "datum.group == 'all'"]]] as JSON).merging(
            line("entropy", colour: "@ink", title: "nats", dash: [5, 4], zero: false))
        return Figure(
            id: "figure-confidence", label: "Lines of mean router entropy by layer and group.",
            caption:
                "Mean entropy of the router's probabilities by layer: low where it is sure. One line per group, dashed for all together.",
            spec: Spec.wide(
                height: 230,
                [
                    "data": Spec.data("confidence"), "encoding": ["x": Spec.layerAxis(layers)],
                    "layer": .array(groups.isEmpty ? [ofAll] : [ofGroups, ofAll]),
                ]),
            tables: ["confidence"], shown: "confidence")
    }

    enum RepetitionKind: String {
        case first, any

        var label: String {
            switch self {
            case .first: "Lines of how often neighbouring tokens have the same first expert, by layer."
            case .any: "Lines of how often neighbouring tokens share any expert, by layer."
            }
        }

        var caption: String {
            switch self {
            case .first: "Share of tokens whose first expert is that of the token before."
            case .any: "Share of tokens that have at least one expert in common with the token before."
            }
        }
    }

    private static func overall(_ layer: JSON) -> JSON {
        layer.merging([
            "data": Spec.data("divergence-layers")
        ])
    }

    private static func names(_ groups: [String]) -> JSON { .array(groups.map { .string($0) }) }

    static func area(
        _ low: String, _ high: String, colour: String, opacity: Double, title: String, zero: Bool = true
    ) -> JSON {
        [
            "mark": ["type": "area", "color": .string(colour), "opacity": .number(opacity), "line": false],
            "encoding": ["y": Spec.quantitative(low, title: title, zero: zero), "y2": ["field": .string(high)]],
        ]
    }

    static func line(
        _ field: String, colour: String, title: String, dash: [Int] = [], format: String? = nil, zero: Bool = true
    ) -> JSON {
        var mark: [JSON.Member] = [
            .init("type", "line"), .init("color", .string(colour)), .init("strokeWidth", dash.isEmpty ? 2 : 1.5),
        ]
        if !dash.isEmpty { mark.append(.init("strokeDash", .array(dash.map { .integer($0) }))) }
        return [
            "mark": .object(mark),
            "encoding": ["y": Spec.quantitative(field, title: title, format: format, zero: zero)],
        ]
    }

    static func points(
        _ field: String, colour: String, title: String, tooltip: [(field: String, title: String, format: String?)],
        zero: Bool = true
    ) -> JSON {
        [
            "mark": ["type": "point", "filled": true, "size": 55, "opacity": 1, "color": .string(colour)],
            "encoding": ["y": Spec.quantitative(field, title: title, zero: zero), "tooltip": Spec.tooltip(tooltip)],
        ]
    }
}
