/// Figures about which experts are chosen: heat maps around chance.
enum RoutingFigures {
    /// Layer × expert, the share of assignments as a multiple of an even share.
    static func load(layers: Int, experts: Int) -> Figure {
        let cells: JSON = ["mark": ["type": "rect", "stroke": "@paper", "strokeWidth": 1.5, "tooltip": true]]
        return Figure(
            id: "figure-load", label: "Heat map of the load of every expert in every layer.",
            caption:
                "Share of all assignments that each expert receives, as a multiple of an even share (\(Prose.percent(1 / Double(experts)))). "
                + "Paper-coloured cells are at an even share.",
            spec: Spec.wide(
                height: ["step": experts > 16 ? 16 : 26],
                [
                    "data": Spec.data("load"), "transform": [Spec.lift(from: "share", chance: 1 / Double(experts))],
                    "encoding": [
                        "x": Spec.ordinal("expert", title: "expert", axis: ["labelAngle": 0, "labelOverlap": true]),
                        "y": Spec.ordinal("layer", title: "layer"),
                        "tooltip": Spec.tooltip([
                            ("layer", "layer", nil), ("expert", "expert", nil), ("share", "share", ".1%"),
                            ("share_lower", "95 % from", ".1%"), ("share_upper", "to", ".1%"),
                            ("assignments", "assignments", ",d"),
                        ]),
                    ],
                    "layer": layered(
                        cells.merging([
                            "encoding": ["color": Spec.liftColour(title: "multiple of an even share")]
                        ]),
                        text: experts <= 16 ? "share" : nil),
                ]),
            tables: ["load"], shown: "load")
    }

    /// Small multiples: layer × expert for every group.
    static func overview(groups: [String], layers: Int, experts: Int) -> Figure {
        Figure(
            id: "figure-groups", label: "One heat map of layer by expert for every group.",
            caption:
                "Every layer at once, in the colours of the figure before. A column of blue is an expert of the group; the same row read "
                + "across groups shows whom it leaves out.",
            spec: [
                "$schema": Spec.schema, "data": Spec.data("domain-share"),
                "transform": [Spec.lift(from: "share", chance: 1 / Double(experts))],
                "facet": [
                    "field": "group", "type": "nominal", "title": .null, "sort": .array(groups.map { .string($0) }),
                ],
                "columns": "@columns", "spacing": 18,
                "spec": [
                    "width": "@cellWidth", "height": ["step": layers > 16 ? 9 : 20],
                    "mark": ["type": "rect", "stroke": "@paper", "strokeWidth": 1],
                    "encoding": [
                        "x": Spec.ordinal("expert", title: "expert", axis: ["labelAngle": 0, "labelOverlap": true]),
                        "y": Spec.ordinal("layer", title: "layer", axis: ["labelOverlap": true]),
                        "color": Spec.liftColour(title: "multiple of an even share"),
                        "tooltip": groupTooltip,
                    ],
                ],
            ],
            tables: ["domain-share"], shown: nil, layout: .init(columns: 3, cell: 230, margin: 58))
    }

    /// Group × expert in the layer that the slider says.
    static func atLayer(groups: [String], experts: Int, layer: Int) -> Figure {
        Figure(
            id: "figure-group-layer", label: "Heat map of group by expert in the layer chosen with the slider.",
            caption:
                "The share of a group's assignments that each expert receives, in the layer of the slider; every row adds up to 100 %. "
                + "Blue: above an even share (\(Prose.percent(1 / Double(experts)))), brown: below; point at a cell for its interval.",
            spec: Spec.wide(
                height: ["step": 30],
                [
                    "data": Spec.data("domain-share"), "params": Spec.layerParameter(layer),
                    "transform": [Spec.atLayer, Spec.lift(from: "share", chance: 1 / Double(experts))],
                    "encoding": [
                        "x": Spec.ordinal("expert", title: "expert", axis: ["labelAngle": 0, "labelOverlap": true]),
                        "y": Spec.ordinal("group", sort: .array(groups.map { .string($0) })),
                        "tooltip": groupTooltip,
                    ],
                    "layer": layered(
                        [
                            "mark": ["type": "rect", "stroke": "@paper", "strokeWidth": 1.5, "tooltip": true],
                            "encoding": [
                                "color": Spec.liftColour(
                                    title: "multiple of an even share")
                            ],
                        ], text: experts <= 16 ? "share" : nil),
                ]),
            tables: ["domain-share"], shown: "domain-share", layout: .init(margin: 90))
    }

    /// Expert × expert: given that a token went to the row's expert, where its other choices went.
    static func coactivation(experts: Int, layer: Int, largest: Double) -> Figure {
        Figure(
            id: "figure-coactivation",
            label: "Heat map of expert by expert: how often two are chosen for the same token.",
            caption:
                "Of the tokens that go to the expert of the row, the share that also goes to the expert of the column.",
            spec: Spec.wide(
                height: ["step": experts > 16 ? 10 : 28],
                [
                    "data": Spec.data("coactivation"), "params": Spec.layerParameter(layer),
                    "transform": [Spec.atLayer, ["filter": "datum.expert != datum.other"]],
                    "encoding": [
                        "x": Spec.ordinal(
                            "other", title: "also goes to expert", axis: ["labelAngle": 0, "labelOverlap": true]),
                        "y": Spec.ordinal("expert", title: "expert", axis: ["labelOverlap": true]),
                        "tooltip": Spec.tooltip([
                            ("expert", "expert", nil), ("other", "also", nil), ("share", "share", ".1%"),
                            ("together", "tokens", ",d"),
                        ]),
                    ],
                    "layer": .array(
                        [
                            [
                                "mark": ["type": "rect", "stroke": "@paper", "strokeWidth": 1.5, "tooltip": true],
                                "encoding": [
                                    "color": [
                                        "field": "share", "type": "quantitative", "title": "share of the row's tokens",
                                        "scale": [
                                            "range": "@sequential", "domain": [0, .number(largest)],
                                            "interpolate": "lab",
                                        ],
                                        "legend": [
                                            "format": "%", "orient": "bottom", "direction": "horizontal",
                                            "gradientLength": 160, "gradientThickness": 10,
                                        ],
                                    ]
                                ],
                            ]
                        ]
                            + (experts <= 16
                                ? [
                                    [
                                        "mark": ["type": "text", "fontSize": 11],
                                        "encoding": [
                                            "text": ["field": "share", "type": "quantitative", "format": ".0%"],
                                            "color": [
                                                "condition": [
                                                    "test": .string("datum.share > \(0.62 * largest)"),
                                                    "value": "@paper",
                                                ], "value": "@ink",
                                            ],
                                        ],
                                    ]
                                ] : [])),
                ]),
            tables: ["coactivation"], shown: "coactivation")
    }

    private static let groupTooltip = Spec.tooltip([
        ("group", "group", nil), ("layer", "layer", nil), ("expert", "expert", nil),
        ("share", "share of assignments", ".1%"),
        ("share_lower", "95 % from", ".1%"), ("share_upper", "to", ".1%"), ("assignments", "assignments", ",d"),
        ("q_value", "q against all others", ".2~g"),
    ])

    private static func layered(_ cells: JSON, text field: String?) -> JSON {
        guard let field else { return [cells] }
        return [
            cells,
            [
                "mark": ["type": "text", "fontSize": 11],
                "encoding": [
                    "text": ["field": .string(field), "type": "quantitative", "format": ".0%"],
                    "color": Spec.liftTextColour,
                ],
            ],
        ]
    }
}
