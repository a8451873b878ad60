/// Pieces that Vega-Lite specifications share. Sizes and colours that begin with "@" are filled in where the figure is drawn.
enum Spec {
    static let schema: JSON = "https://vega.github.io/schema/vega-lite/v6.json"

    /// A single view, or layers, as wide as there is room.
    static func wide(height: JSON, _ members: JSON) -> JSON {
        (["$schema": schema, "width": "@room", "height": height, "autosize": ["type": "pad"]] as JSON).merging(members)
    }

    static func data(_ table: String) -> JSON { ["name": .string(table)] }

    /// log₂ of a ratio to chance, and its colour: paper at chance, blue above, brown below.
    static func lift(from field: String, chance: Double) -> JSON {
        ["calculate": .string("log(max(datum.\(field) / \(chance), 0.0001)) / LN2"), "as": "lift"]
    }

    static func liftColour(title: String) -> JSON {
        [
            "field": "lift", "type": "quantitative", "title": .string(title),
            "scale": ["domain": [-2, -1, 0, 1, 2], "range": "@diverging", "clamp": true, "interpolate": "lab"],
            "legend": [
                "gradientLength": 160, "gradientThickness": 10, "direction": "horizontal", "orient": "bottom",
                "values": [-2, -1, 0, 1, 2],
                "labelExpr":
                    "datum.value <= -2 ? '≤ ¼×' : datum.value == -1 ? '½×' : datum.value == 0 ? 'chance' : datum.value == 1 ? '2×' : '≥ 4×'",
            ],
        ]
    }

    /// Dark text on pale cells and the reverse.
    static let liftTextColour: JSON = [
        "condition": ["test": "datum.lift > 1.4 || datum.lift < -1.5", "value": "@paper"], "value": "@ink",
    ]

    static func ordinal(_ field: String, title: String? = nil, sort: JSON? = nil, axis: JSON? = nil) -> JSON {
        var members: [JSON.Member] = [.init("field", .string(field)), .init("type", "ordinal")]
        members.append(.init("title", title.map { .string($0) } ?? .null))
        if let sort { members.append(.init("sort", sort)) }
        if let axis { members.append(.init("axis", axis)) }
        return .object(members)
    }

    static func quantitative(
        _ field: String, title: String, format: String? = nil, zero: Bool = true, stack: Bool = false
    ) -> JSON {
        var axis: [JSON.Member] = [.init("tickCount", 5)]
        if let format { axis.append(.init("format", .string(format))) }
        var members: [JSON.Member] = [
            .init("field", .string(field)), .init("type", "quantitative"), .init("title", .string(title)),
            .init("scale", ["zero": .bool(zero)]), .init("axis", .object(axis)),
        ]
        if !stack { members.append(.init("stack", .null)) }
        return .object(members)
    }

    /// Whole layers on a quantitative axis.
    static func layerAxis(_ count: Int) -> JSON {
        [
            "field": "layer", "type": "quantitative", "title": "layer",
            "scale": ["domain": [0, .integer(max(count - 1, 1))], "nice": false, "padding": 12],
            "axis": ["values": .array(ticks(count).map { .integer($0) }), "format": "d", "grid": false],
        ]
    }

    static func ticks(_ count: Int) -> [Int] {
        let step = max(1, (count + 15) / 16)
        return Array(stride(from: 0, to: count, by: step))
    }

    static func tooltip(_ fields: [(field: String, title: String, format: String?)]) -> JSON {
        .array(
            fields.map { entry in
                var members: [JSON.Member] = [
                    .init("field", .string(entry.field)), .init("title", .string(entry.title)),
                ]
                if let format = entry.format {
                    members += [.init("type", "quantitative"), .init("format", .string(format))]
                } else {
                    members.append(.init("type", "nominal"))
                }
                return .object(members)
            })
    }

    /// A parameter that a slider of the page sets.
    static func layerParameter(_ value: Int) -> JSON { [["name": "layer", "value": .integer(value)]] }
    static let atLayer: JSON = ["filter": "datum.layer == layer"]
}
