import FileFormats
import RoutingMetrics

/// `datapackage.json`: what every column of every CSV file is (Frictionless Data Package, tabular profile).
struct DataPackage {
    var name: String
    var title: String
    var description: String
    var tables: [MetricTable]

    var json: JSON {
        [
            "profile": "tabular-data-package",
            "name": .string(name),
            "title": .string(title),
            "description": .string(
                description
                    + " A text cell that begins with =, +, -, @, a tab, a carriage return or an apostrophe has an apostrophe in front,"
                    + " so that spreadsheets show it as text. Drop one leading apostrophe to get the data back."),
            "resources": .array(tables.map(Self.resource)),
        ]
    }

    private static func resource(_ table: MetricTable) -> JSON {
        [
            "profile": "tabular-data-resource",
            "name": .string(table.name),
            "title": .string(table.title),
            "path": .string(table.name + ".csv"),
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "dialect": ["delimiter": ",", "lineTerminator": "\r\n", "quoteChar": "\"", "doubleQuote": true],
            "schema": [
                "fields": .array(table.columns.map(field)),
                "missingValues": [""],
            ],
        ]
    }

    private static func field(_ column: MetricColumn) -> JSON {
        var members: JSONObject = [
            "name": .string(column.name), "type": .string(type(of: column.kind)),
            "description": .string(column.definition),
        ]
        if !column.unit.isEmpty { members["unit"] = .string(column.unit) }
        return .object(members)
    }

    private static func type(of kind: MetricColumn.Kind) -> String {
        switch kind {
        case .integer: "integer"
        case .real: "number"
        case .text: "string"
        }
    }
}
