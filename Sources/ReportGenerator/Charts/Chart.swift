import FileFormats

/// A picture without its words: a Vega-Lite specification whose data are named tables of the page.
///
/// Charts are made by the functions of `Charts`. Sizes and colours that begin with "@" are filled in where a chart is drawn.
struct Chart: Sendable {
    let spec: JSON
    var layout = Layout()
    /// The tables that the specification names, in the order of their first mention.
    let tables: [String]

    init(_ spec: JSON, layout: Layout = Layout()) {
        self.spec = spec
        self.layout = layout
        var names: [String] = []
        Self.collectTables(of: spec, into: &names)
        tables = names
    }

    /// Where the page's slider starts, for a chart that follows it.
    var layer: Int? {
        let parameters = spec.object?["params"]?.array ?? []
        return parameters.first { $0.object?["name"]?.string == "layer" }?.object?["value"]?.int
    }

    /// All strings of the specification: fields that it reads are named in them.
    var strings: [String] {
        var found: [String] = []
        func collect(_ value: JSON) {
            switch value {
            case .string(let text): found.append(text)
            case .array(let values): values.forEach(collect)
            case .object(let members): members.values.forEach(collect)
            default: break
            }
        }
        collect(spec)
        return found
    }

    /// How the page shares its width among small multiples.
    struct Layout: Sendable {
        /// At most this many side by side.
        var columns = 1
        /// The least width in pixels each needs.
        var cell = 0
        /// Width in pixels taken by axes and legends around each.
        var margin = 68
    }

    private static func collectTables(of value: JSON, into names: inout [String]) {
        switch value {
        case .array(let values): for value in values { collectTables(of: value, into: &names) }
        case .object(let members):
            if let name = members["data"]?.object?["name"]?.string, !names.contains(name) { names.append(name) }
            for (key, value) in zip(members.keys, members.values) where key != "data" {
                collectTables(of: value, into: &names)
            }
        default: break
        }
    }
}

/// The functions that make charts, one kind of chart a file.
enum Charts {
    /// Height in pixels of a chart of lines.
    static let lineHeight: JSON = 230
}

/// Rows of a table that a chart, or one layer of it, draws.
struct Rows: Sendable, ExpressibleByStringLiteral {
    var table: String
    /// Vega-Lite transforms: filters and computed fields.
    var transform: [JSON] = []

    init(_ table: String, _ transform: JSON...) { self.init(table, transform: transform) }

    init(_ table: String, transform: [JSON]) {
        self.table = table
        self.transform = transform
    }

    init(stringLiteral table: String) { self.table = table }

    /// "data", and "transform" where there is any.
    var json: JSON {
        var members: JSONObject = ["data": ["name": .string(table)]]
        if !transform.isEmpty { members["transform"] = .array(transform) }
        return .object(members)
    }
}

/// What the vertical axis of a chart of lines measures.
struct Measure: Sendable {
    var title: String
    /// A d3 format: "%" for shares.
    var format: String?
    /// Whether the axis begins at zero.
    var zero = true

    init(_ title: String, format: String? = nil, zero: Bool = true) {
        self.title = title
        self.format = format
        self.zero = zero
    }

    func y(_ field: String) -> JSON { Spec.quantitative(field, title: title, format: format, zero: zero) }
}
