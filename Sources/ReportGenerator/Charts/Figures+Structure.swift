import Foundation
import RoutingMetrics

/// Figures about what lies between layers, heads and caches.
enum StructureFigures {
    /// The same text in two languages, through the layers, beside different texts of one language.
    static func parallelDivergence(layers: Int) -> Figure {
        Figure(
            id: "figure-parallel", label: "Line of the normalized divergence of parallel texts by layer.",
            caption:
                "The same text in two groups: normalized divergence of the router's mean probabilities, mean over pairs with its "
                + "95 % interval (blue), every pair (grey), and different texts of one group (dashed).",
            spec: Spec.wide(
                height: 230,
                [
                    "encoding": ["x": Spec.layerAxis(layers)],
                    "layer": [
                        [
                            "data": Spec.data("parallel-divergence"),
                            "transform": [["calculate": "datum.group_a + ' and ' + datum.group_b", "as": "pair"]],
                            "mark": ["type": "line", "color": "@null", "strokeWidth": 1],
                            "encoding": [
                                "y": Spec.quantitative("divergence", title: "normalized divergence"),
                                "detail": ["field": "pair", "type": "nominal"],
                                "tooltip": Spec.tooltip([("pair", "pair", nil), ("divergence", "divergence", ".3f")]),
                            ],
                        ],
                        byLayer(
                            LayerFigures.line(
                                "baseline", colour: "@muted", title: "normalized divergence", dash: [5, 4])),
                        byLayer(
                            LayerFigures.area(
                                "mean_lower", "mean_upper", colour: "@accent", opacity: 0.2,
                                title: "normalized divergence")),
                        byLayer(LayerFigures.line("mean", colour: "@accent", title: "normalized divergence")),
                        byLayer(
                            LayerFigures.points(
                                "mean", colour: "@accent", title: "normalized divergence",
                                tooltip: [
                                    ("layer", "layer", nil), ("mean", "same text", ".3f"),
                                    ("mean_lower", "95 % from", ".3f"),
                                    ("mean_upper", "to", ".3f"), ("baseline", "different texts, same group", ".3f"),
                                    ("texts", "texts", ",d"),
                                ])),
                    ],
                ]),
            tables: ["parallel-divergence", "parallel-divergence-layers"], shown: "parallel-divergence-layers")
    }

    private static func byLayer(_ layer: JSON) -> JSON {
        layer.merging(["data": Spec.data("parallel-divergence-layers")])
    }

    /// First choices flowing from each layer to the next: bands as wide as the share of tokens that take both.
    static func flows(_ metric: PathMetric, experts: Int) -> Figure {
        Figure(
            id: "figure-paths", label: "Flow diagram of first choices from each layer to the next.",
            caption:
                "First choices from layer to layer: every column is a layer, every block an expert (0 on top) as tall as its share of "
                + "tokens, every band the tokens that go from one to the other. Bands of less than "
                + "\(Prose.percent(smallestBand(layers: metric.layers.count + 1))) of tokens are left out.",
            spec: Spec.wide(
                height: 340,
                [
                    "encoding": [
                        "x": [
                            "field": "x", "type": "quantitative", "title": "layer",
                            "scale": ["nice": false, "padding": 14],
                            "axis": ["grid": false, "format": "d", "tickMinStep": 1],
                        ]
                    ],
                    "layer": [
                        [
                            "data": ["values": bands(metric)],
                            "mark": ["type": "area", "opacity": 0.45, "line": false],
                            "encoding": [
                                "y": [
                                    "field": "high", "type": "quantitative", "axis": .null,
                                    "scale": ["domain": [0, 1.0]],
                                ],
                                "y2": ["field": "low"],
                                "detail": [
                                    ["field": "layer", "type": "nominal"], ["field": "expert", "type": "nominal"],
                                    ["field": "next", "type": "nominal"],
                                ],
                                "color": expertColour(experts),
                                "tooltip": Spec.tooltip([
                                    ("layer", "from layer", nil), ("expert", "expert", nil), ("next", "to expert", nil),
                                    ("share", "of all tokens", ".1%"),
                                ]),
                            ],
                        ],
                        [
                            "data": ["values": blocks(metric)],
                            "mark": ["type": "bar", "width": 9, "opacity": 1, "stroke": "@paper", "strokeWidth": 1],
                            "encoding": [
                                "y": ["field": "high", "type": "quantitative"], "y2": ["field": "low"],
                                "color": expertColour(experts),
                                "tooltip": Spec.tooltip([
                                    ("x", "layer", nil), ("expert", "expert", nil), ("share", "first choice of", ".1%"),
                                ]),
                            ],
                        ],
                    ],
                ]),
            tables: [], shown: "paths-frequent", layout: .init(margin: 24))
    }

    private static func expertColour(_ experts: Int) -> JSON {
        [
            "field": "expert", "type": "nominal",
            "scale": ["range": "@category", "domain": .array((0..<experts).map { .integer($0) })],
            "legend": experts <= 16 ? ["title": "expert", "columns": 8] : .null,
        ]
    }

    private static let gap = 0.008

    /// The share of tokens below which a band is left out: deep models would make a large page of hair.
    private static func smallestBand(layers: Int) -> Double { layers > 12 ? 0.02 : 0.005 }

    /// Where every expert's block begins and how tall it is, per layer that starts or ends a transition.
    private static func stacks(_ metric: PathMetric) -> [Int: [Int: (low: Double, share: Double)]] {
        var counts: [Int: [Int: Int]] = [:]
        let last = metric.transitions.map(\.nextLayer).max()
        for row in metric.transitions {
            counts[row.layer, default: [:]][row.expert, default: 0] += row.count
            if row.nextLayer == last { counts[row.nextLayer, default: [:]][row.nextExpert, default: 0] += row.count }
        }
        return counts.mapValues { experts in
            let total = Double(max(1, experts.values.reduce(0, +)))
            let room = 1 - gap * Double(max(0, experts.count - 1))
            var top = 1.0
            var result: [Int: (low: Double, share: Double)] = [:]
            for (expert, count) in experts.sorted(by: { $0.key < $1.key }) {
                let height = Double(count) / total * room
                result[expert] = (top - height, Double(count) / total)
                top -= height + gap
            }
            return result
        }
    }

    private static func blocks(_ metric: PathMetric) -> JSON {
        let stacks = stacks(metric)
        return .array(
            stacks.sorted { $0.key < $1.key }.flatMap { layer, experts in
                experts.sorted { $0.key < $1.key }.map { expert, block -> JSON in
                    let room = 1 - gap * Double(max(0, experts.count - 1))
                    return [
                        "x": .integer(layer), "expert": .integer(expert),
                        "low": .number(block.low.rounded(significant: 5)),
                        "high": .number((block.low + block.share * room).rounded(significant: 5)),
                        "share": .number(block.share.rounded(significant: 4)),
                    ]
                }
            })
    }

    /// Bands as areas sampled along a smooth step, so that Vega-Lite can draw them.
    private static func bands(_ metric: PathMetric) -> JSON {
        let stacks = stacks(metric)
        var used: [[Int]: Double] = [:]
        var values: [JSON] = []
        let least = smallestBand(layers: stacks.count)
        let totals = Dictionary(grouping: metric.transitions, by: \.layer).mapValues { $0.reduce(0) { $0 + $1.count } }
        for row in metric.transitions.sorted(by: {
            ($0.layer, $0.expert, $0.nextExpert) < ($1.layer, $1.expert, $1.nextExpert)
        }) {
            guard let from = stacks[row.layer], let to = stacks[row.nextLayer], let start = from[row.expert],
                let end = to[row.nextExpert]
            else { continue }
            let share = Double(row.count) / Double(max(1, totals[row.layer] ?? 1))
            let fromRoom = 1 - gap * Double(max(0, from.count - 1))
            let toRoom = 1 - gap * Double(max(0, to.count - 1))
            let out = used[[row.layer, row.expert, 0], default: 0]
            let into = used[[row.nextLayer, row.nextExpert, 1], default: 0]
            used[[row.layer, row.expert, 0]] = out + share * fromRoom
            used[[row.nextLayer, row.nextExpert, 1]] = into + share * toRoom
            guard share >= least else { continue }
            let startHigh = start.low + start.share * fromRoom - out
            let endHigh = end.low + end.share * toRoom - into
            for step in 0...8 {
                let t = Double(step) / 8
                let ease = t * t * (3 - 2 * t)
                let high = startHigh + (endHigh - startHigh) * ease
                let height = share * (fromRoom + (toRoom - fromRoom) * ease)
                values.append([
                    "x": .number((Double(row.layer) + Double(row.nextLayer - row.layer) * t).rounded(significant: 5)),
                    "high": .number(high.rounded(significant: 5)),
                    "low": .number((high - height).rounded(significant: 5)),
                    "layer": .integer(row.layer),
                    "expert": .integer(row.expert), "next": .integer(row.nextExpert),
                    "share": .number(share.rounded(significant: 4)),
                ])
            }
        }
        return .array(values)
    }

    /// Hit ratio by slots, one line per policy, at the layer of the slider.
    static func cache(layer: Int) -> Figure {
        Figure(
            id: "figure-cache", label: "Lines of the hit ratio of an expert cache by its size, one per policy.",
            caption:
                "Share of requests whose expert is already in a cache of so many slots per layer, at the layer of the slider. "
                + "Belady knows the future: no policy can do better.",
            spec: Spec.wide(
                height: 230,
                [
                    "data": Spec.data("expert-cache"), "params": Spec.layerParameter(layer),
                    "transform": [Spec.atLayer],
                    "mark": ["type": "line", "point": ["size": 35], "strokeWidth": 2],
                    "encoding": [
                        "x": [
                            "field": "slots", "type": "quantitative", "title": "slots per layer",
                            "scale": ["nice": false, "padding": 10],
                            "axis": ["grid": false, "tickMinStep": 1],
                        ],
                        "y": Spec.quantitative("hit_ratio", title: "hit ratio", format: "%"),
                        "color": [
                            "field": "policy", "type": "nominal", "title": .null,
                            "scale": ["domain": ["lru", "lfu", "belady"], "range": "@category"],
                        ],
                        "tooltip": Spec.tooltip([
                            ("policy", "policy", nil), ("slots", "slots", nil), ("hit_ratio", "hits", ".1%"),
                            ("hit_ratio_lower", "95 % from", ".1%"), ("hit_ratio_upper", "to", ".1%"),
                        ]),
                    ],
                ]),
            tables: ["expert-cache"], shown: "expert-cache")
    }

    /// Information about the group, and divergence from the other tokens, by place in the text.
    static func positions(layers: Int) -> Figure {
        let places: JSON = .array(PositionMetric.Place.allCases.map { .string($0.rawValue) })
        let (start, early) = (PositionMetric.Place.sentenceStart.rawValue, PositionMetric.Place.early.rawValue)
        return Figure(
            id: "figure-positions", label: "Lines by layer, one per place in the text: information and divergence.",
            caption:
                "By layer and place in the text: bits that experts tell about the group, over these tokens alone, and the Jensen–Shannon "
                + "divergence, in nats, of their expert distribution from that of all remaining tokens.",
            spec: [
                "$schema": Spec.schema, "data": Spec.data("positions"),
                "transform": [
                    ["fold": ["information", "divergence"], "as": ["quantity", "value"]],
                    // Of two places that are each other's rest, one line is enough.
                    [
                        "filter": .string(
                            "isValid(datum.value) && (datum.quantity == 'information' || datum.place == '\(start)' || datum.place == '\(early)')"
                        )
                    ],
                ],
                "facet": [
                    "field": "quantity", "type": "nominal", "title": .null, "sort": ["information", "divergence"],
                    "header": [
                        "labelExpr":
                            "datum.value == 'information' ? 'bits told about the group' : 'nats from the other tokens'"
                    ],
                ],
                "columns": "@columns", "spacing": 18,
                "spec": [
                    "width": "@cellWidth", "height": 200,
                    "mark": ["type": "line", "point": ["size": 25], "strokeWidth": 1.5],
                    "encoding": [
                        "x": Spec.layerAxis(layers), "y": Spec.quantitative("value", title: ""),
                        "color": [
                            "field": "place", "type": "nominal", "title": .null,
                            "scale": ["domain": places, "range": "@category"],
                            "legend": ["orient": "bottom", "columns": "@legendColumns", "labelLimit": 170],
                        ],
                        "tooltip": Spec.tooltip([
                            ("place", "tokens", nil), ("layer", "layer", nil), ("information", "bits", ".3f"),
                            ("information_lower", "95 % from", ".3f"), ("information_upper", "to", ".3f"),
                            ("divergence", "nats", ".4f"), ("divergence_lower", "95 % from", ".4f"),
                            ("divergence_upper", "to", ".4f"), ("tokens", "tokens", ",d"),
                        ]),
                    ],
                ],
                "resolve": ["scale": ["y": "independent"]],
            ],
            tables: ["positions"], shown: "positions", layout: .init(columns: 2, cell: 300, margin: 62))
    }

    /// Recall of guessed experts by layer, one line per distance, beside the layer's most used experts and chance.
    static func speculation(layers: Int) -> Figure {
        func ofLayers(_ layer: JSON) -> JSON {
            ([
                "transform": [
                    ["filter": "datum.layer != 'all' && isValid(datum.recall)"],
                    ["calculate": "toNumber(datum.layer)", "as": "layer"],
                ]
            ] as JSON)
            .merging(layer)
        }
        return Figure(
            id: "figure-speculation", label: "Lines of the recall of guessed experts by layer, one per distance.",
            caption:
                "Share of a layer's chosen experts that its own router names from the residual stream so many layers earlier. Dashed: "
                + "always guessing the layer's most used experts; dotted: chance.",
            spec: Spec.wide(
                height: 230,
                [
                    "data": Spec.data("speculation"), "encoding": ["x": Spec.layerAxis(layers)],
                    "layer": [
                        ofLayers(LayerFigures.line("chance", colour: "@muted", title: "recall", dash: [1, 3])),
                        ofLayers([
                            "mark": ["type": "line", "color": "@muted", "strokeWidth": 1.5, "strokeDash": [5, 4]],
                            "encoding": [
                                "y": Spec.quantitative("popular", title: "recall", format: "%"),
                                "detail": ["field": "ahead", "type": "nominal"],
                            ],
                        ]),
                        ofLayers([
                            "mark": ["type": "line", "point": ["size": 40], "strokeWidth": 2],
                            "encoding": [
                                "y": Spec.quantitative("recall", title: "recall", format: "%"),
                                "color": [
                                    "field": "ahead", "type": "ordinal", "title": "layers ahead",
                                    "scale": ["range": "@category"],
                                ],
                                "tooltip": Spec.tooltip([
                                    ("layer", "layer", nil), ("ahead", "layers ahead", nil),
                                    ("recall", "recall", ".1%"),
                                    ("recall_lower", "95 % from", ".1%"), ("recall_upper", "to", ".1%"),
                                    ("popular", "most used", ".1%"), ("chance", "chance", ".1%"),
                                ]),
                            ],
                        ]),
                    ],
                ]),
            tables: ["speculation"], shown: "speculation")
    }

    /// Agreement with the last trace of a series, one line per layer.
    static func saturation(traces: some Sequence<String>) -> Figure {
        Figure(
            id: "figure-saturation", label: "Lines of agreement with the last trace of the series, one per layer.",
            caption:
                "Share of a token's experts that are those of the last trace, by trace in the order given, one line per layer.",
            spec: Spec.wide(
                height: 230,
                [
                    "data": Spec.data("saturation"),
                    "mark": ["type": "line", "point": ["size": 40], "strokeWidth": 2],
                    "encoding": [
                        "x": Spec.ordinal(
                            "trace", sort: .array(traces.map { .string($0) }),
                            axis: ["labelAngle": 0, "labelLimit": 120]),
                        "y": Spec.quantitative("overlap", title: "share of experts", format: "%"),
                        "color": [
                            "field": "layer", "type": "quantitative", "title": "layer",
                            "scale": ["scheme": ["name": "viridis", "extent": [0.2, 0.85]]],
                            "legend": [
                                "gradientLength": 160, "gradientThickness": 10, "tickMinStep": 1, "format": "d",
                            ],
                        ],
                        "tooltip": Spec.tooltip([
                            ("trace", "trace", nil), ("layer", "layer", nil), ("overlap", "same experts", ".1%"),
                            ("overlap_lower", "95 % from", ".1%"), ("overlap_upper", "to", ".1%"),
                            ("load_chance", "by chance", ".1%"), ("same_set", "all the same", ".1%"),
                        ]),
                    ],
                ]),
            tables: ["saturation"], shown: "saturation")
    }

    /// Layer × head, one small multiple per statistic that is a share.
    static func heads() -> Figure {
        Figure(
            id: "figure-heads", label: "Heat maps of layer by attention head, one per statistic.",
            caption:
                "What each head does on average: mass on the first token, on the previous token, and its largest weight. Dark: all of it.",
            spec: [
                "$schema": Spec.schema, "data": Spec.data("attention"),
                "transform": [["fold": ["first", "previous", "largest"], "as": ["statistic", "value"]]],
                "facet": [
                    "field": "statistic", "type": "nominal", "title": .null, "sort": ["first", "previous", "largest"],
                    "header": [
                        "labelExpr":
                            "datum.value == 'first' ? 'first token' : datum.value == 'previous' ? 'previous token' : 'largest weight'"
                    ],
                ],
                "columns": "@columns", "spacing": 18,
                "spec": [
                    "width": "@cellWidth", "height": ["step": 20],
                    "mark": ["type": "rect", "stroke": "@paper", "strokeWidth": 1],
                    "encoding": [
                        "x": Spec.ordinal("head", title: "head", axis: ["labelAngle": 0, "labelOverlap": true]),
                        "y": Spec.ordinal("layer", title: "layer", axis: ["labelOverlap": true]),
                        "color": [
                            "field": "value", "type": "quantitative", "title": "mean share of attention",
                            "scale": ["range": "@sequential", "domain": [0, 1], "interpolate": "lab"],
                            "legend": [
                                "orient": "bottom", "direction": "horizontal", "gradientLength": 160,
                                "gradientThickness": 10,
                                "format": "%",
                            ],
                        ],
                        "tooltip": Spec.tooltip([
                            ("layer", "layer", nil), ("head", "head", nil), ("first", "first token", ".1%"),
                            ("previous", "previous token", ".1%"), ("largest", "largest weight", ".1%"),
                            ("entropy", "entropy, nats", ".2f"), ("distance", "distance, tokens", ".1f"),
                            ("router_correlation", "correlation with router entropy", ".2f"),
                        ]),
                    ],
                ],
            ],
            tables: ["attention"], shown: "attention", layout: .init(columns: 3, cell: 230, margin: 58))
    }

    /// Agreement of two traces: overlap by layer.
    static func agreement(layers: Int) -> Figure {
        Figure(
            id: "figure-agreement", label: "Line of the agreement of two traces by layer.",
            caption:
                "Share of a token's experts that both traces choose, by layer, with its 95 % interval; dashed: tokens with exactly the same experts.",
            spec: Spec.wide(
                height: 230,
                [
                    "data": Spec.data("agreement"), "encoding": ["x": Spec.layerAxis(layers)],
                    "layer": [
                        LayerFigures.area(
                            "overlap_lower", "overlap_upper", colour: "@accent", opacity: 0.2, title: "share",
                            zero: false),
                        LayerFigures.line(
                            "same_set", colour: "@muted", title: "share", dash: [5, 4], format: "%", zero: false),
                        LayerFigures.line("overlap", colour: "@accent", title: "share", format: "%", zero: false),
                        LayerFigures.points(
                            "overlap", colour: "@accent", title: "share",
                            tooltip: [
                                ("layer", "layer", nil), ("overlap", "overlap", ".2%"),
                                ("same_set", "same experts", ".2%"),
                                ("same_first", "same first expert", ".2%"), ("kl", "KL, nats", ".4f"),
                            ], zero: false),
                    ],
                ]),
            tables: ["agreement"], shown: "agreement")
    }
}
