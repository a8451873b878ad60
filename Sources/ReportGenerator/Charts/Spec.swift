import FileFormats

/// Pieces that Vega-Lite specifications share. Sizes and colours that begin with "@" are filled in where the figure is drawn.
enum Spec {
    static let schema: JSON = "https://vega.github.io/schema/vega-lite/v6.json"

    /// A single view, or layers, as wide as there is room.
    static func wide(height: JSON, _ members: JSON) -> JSON {
        (["$schema": schema, "width": "@room", "height": height, "autosize": ["type": "pad"]] as JSON).merging(members)
    }

    static func names(_ texts: some Sequence<String>) -> JSON { .array(texts.map { .string($0) }) }

    // MARK: Axes

    static func ordinal(_ field: String, title: String? = nil, sort: JSON? = nil, axis: JSON? = nil) -> JSON {
        var members: JSONObject = [
            "field": .string(field), "type": "ordinal", "title": title.map { .string($0) } ?? .null,
        ]
        members["sort"] = sort
        members["axis"] = axis
        return .object(members)
    }

    /// An ordinal axis along the bottom, whose labels stand upright.
    static func columns(_ field: String, title: String) -> JSON {
        ordinal(field, title: title, axis: ["labelAngle": 0, "labelOverlap": true])
    }

    static func quantitative(_ field: String, title: String, format: String? = nil, zero: Bool = true) -> JSON {
        var axis: JSONObject = ["tickCount": 5]
        axis["format"] = format.map { .string($0) }
        return [
            "field": .string(field), "type": "quantitative", "title": .string(title),
            "scale": ["zero": .bool(zero)], "axis": .object(axis), "stack": .null,
        ]
    }

    /// Whole layers on a quantitative axis.
    /// - Parameter count: one past the last layer.
    static func layerAxis(_ count: Int) -> JSON {
        [
            "field": "layer", "type": "quantitative", "title": "layer",
            "scale": ["domain": [0, .int(max(count - 1, 1))], "nice": false, "padding": 12],
            "axis": ["values": .array(ticks(count).map { .int($0) }), "format": "d", "grid": false],
        ]
    }

    static func ticks(_ count: Int) -> [Int] {
        let step = max(1, (count + 15) / 16)
        return Array(stride(from: 0, to: count, by: step))
    }

    // MARK: Tooltips

    /// One line of a tooltip: a field, what it is called, and a d3 format where it is a number.
    typealias Tip = (field: String, title: String, format: String?)

    static func tooltip(_ tips: [Tip]) -> JSON {
        .array(
            tips.map { tip in
                var members: JSONObject = ["field": .string(tip.field), "title": .string(tip.title)]
                members["type"] = tip.format == nil ? "nominal" : "quantitative"
                members["format"] = tip.format.map { .string($0) }
                return .object(members)
            })
    }

    /// The lines of an estimate: its value and the bounds of its interval.
    static func estimate(_ field: String, _ title: String, _ format: String) -> [Tip] {
        [(field, title, format), (field + "_lower", "95 % from", format), (field + "_upper", "to", format)]
    }

    // MARK: Controls

    /// A parameter that a slider of the page sets.
    static func layerParameter(_ value: Int) -> JSON { [["name": "layer", "value": .int(value)]] }
    static let atLayer: JSON = ["filter": "datum.layer == layer"]

    // MARK: Colours

    /// One colour per value of a field.
    static func category(_ field: String, title: String? = nil, domain: JSON? = nil, sort: JSON? = nil) -> JSON {
        var scale: JSONObject = ["range": "@category"]
        scale["domain"] = domain
        var members: JSONObject = [
            "field": .string(field), "type": "nominal", "title": title.map { .string($0) } ?? .null,
            "scale": .object(scale),
        ]
        members["sort"] = sort
        return .object(members)
    }

    static func gradient(format: String? = nil) -> JSON {
        var legend: JSONObject = [
            "orient": "bottom", "direction": "horizontal", "gradientLength": 160, "gradientThickness": 10,
        ]
        legend["format"] = format.map { .string($0) }
        return .object(legend)
    }
}
