import Crypto
import FileFormats
import Foundation
import RoutingMetrics
import Traces

/// `datapackage.json`: what every column of every CSV file is (Frictionless Data Package, tabular profile).
struct DataPackage {
    var name: String
    var title: String
    var description: String
    /// RFC 3339: when the trace was finished.
    var created: String
    var tables: [MetricTable]
    /// What every table was written as.
    var files: [String: Data]
    var metrics: ReportMetrics
    var manifest: TraceManifest

    var json: JSON {
        [
            "version": .string(Version.current),
            "created": .string(created),
            "sources": [
                ["title": .string("corpus \(manifest.corpus.source)"), "sha256": .string(manifest.corpus.sha256)],
                ["title": .string("model \(manifest.model.name)"), "sha256": .string(manifest.model.sha256)],
                [
                    "title": .string("tokenizer \(manifest.tokenizer.kind)"),
                    "sha256": .string(manifest.tokenizer.sha256),
                ],
            ],
            // The program's; what the tables say is about the reader's own model and corpus.
            "licenses": [["name": "Apache-2.0", "title": "MoEScope, which made these tables"]],
            "settings": settings,
            "metrics": .array(
                zip(metrics.results, metrics.tablesByResult).map { result, tables in
                    let definition = Swift.type(of: result).definition
                    return [
                        "name": .string(definition.name), "title": .string(definition.title),
                        "formula": .string(definition.formula), "source": .string(definition.source),
                        "tables": .array(tables.map { .string($0.name) }),
                    ]
                }),
            "profile": "tabular-data-package",
            "name": .string(name),
            "title": .string(title),
            "description": .string(
                description
                    + " A text cell that begins with =, +, -, @, a tab, a carriage return or an apostrophe has an apostrophe in front,"
                    + " so that spreadsheets show it as text. Drop one leading apostrophe to get the data back."),
            "resources": .array(tables.map(resource)),
        ]
    }

    /// How intervals and p-values were computed, and over what.
    private var settings: JSON {
        guard let sample = metrics.sample else { return [:] }
        let settings = sample.settings
        return [
            "seed": .string("\(settings.seed)"), "level": .double(settings.level),
            "bootstrap": .int(settings.bootstrap),
            "permutations": .int(settings.permutations), "minimum_documents": .int(settings.minimumDocuments),
            "grouping": .string(settings.grouping.rawValue), "positions": .string(settings.positions.rawValue),
            "skipped_positions": .int(settings.skippedPositions), "documents": .int(sample.documents),
            "tokens": .int(sample.tokens),
        ]
    }

    private func resource(_ table: MetricTable) -> JSON {
        let file = files[table.name] ?? Data()
        return [
            "bytes": .int(file.count),
            "hash": .string("sha256:" + SHA256.hash(data: file).hex),
            "profile": "tabular-data-resource",
            "name": .string(table.name),
            "title": .string(table.title),
            "path": .string(table.name + ".csv"),
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "dialect": ["delimiter": ",", "lineTerminator": "\r\n", "quoteChar": "\"", "doubleQuote": true],
            "schema": [
                "fields": .array(table.columns.map(Self.field)),
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
