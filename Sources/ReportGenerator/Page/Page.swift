import Crypto
import Foundation
import FileFormats
import RoutingMetrics
import Traces

/// The report as one self-contained HTML file: every script and style is inside and named by its hash in the page's
/// Content-Security-Policy, so nothing else can run, and nothing is asked of any network.
struct Page: Sendable {
    var title: String
    var byline: String
    var facts: [(name: String, value: String)]
    var findings: [Finding]
    var findingsNote: String
    var sections: [Section]
    var tables: [String: MetricTable]
    /// What the tables of metrics were computed from, for their captions; by name.
    var samples: [String: String]
    var provenance: [String]
    /// Where the CSV files are, relative to the page; nil where none are written.
    var csvFolder: String?
    /// The CSV files themselves, for links that work where the page is alone; nil: the links lead to the folder.
    var embedded: EmbeddedTables?
    /// Rows of a table that are printed in the page; all are in the CSV file.
    private static let printedRows = 200

    func render(vega: String?) throws(ReportError) -> String {
        let templates = try PageTemplates()
        let style = try PageTemplates.text(of: "style.css")
        var scripts: [String] = []
        for script in ["report.js", "search.js", "tables.js"] { scripts.append(try PageTemplates.text(of: script)) }
        for script in sections.compactMap(\.body?.script) { scripts.append(try PageTemplates.text(of: script)) }
        if let vega { scripts.insert(vega, at: 0) }
        let policy =
            "default-src 'none'; script-src \(scripts.map(Self.source).joined(separator: " ")); "
            + "style-src \(Self.source(style)); img-src data:; base-uri 'none'; form-action 'none'"
        var number = 0
        let object: [String: Any] = [
            "policy": policy, "version": Version.current, "title": title, "byline": byline,
            "style": style, "scripts": scripts.map { ["text": $0] },
            "facts": facts.map { ["name": $0.name, "value": $0.value] },
            "contents": [["id": "findings", "title": "Findings"]]
                + sections.map { ["id": $0.id, "title": $0.title] },
            "findings": findings.map { ["claim": $0.claim, "evidence": $0.evidence] },
            "findingsNote": findingsNote,
            "sections": try sections.map { (section) throws(ReportError) in
                try view(of: section, templates, firstFigure: &number)
            },
            "provenance": provenance.map { ["text": $0] },
            "data": data.serialized(.embedded),
            "embedded": embedded.map { $0.json(named: Set(sections.flatMap(\.downloads))).serialized(.embedded) as Any }
                ?? false,
        ]
        return try templates.render(object, with: "report")
    }

    /// What the scripts work on. Tables that no figure shows stay out.
    private var data: JSON {
        let figures = sections.flatMap(\.figures)
        var readers: [String: [String]] = [:]
        for figure in figures {
            for name in figure.chart.tables { readers[name, default: []] += figure.chart.strings }
        }
        var data: JSONObject = [
            "tables": .object(
                JSONObject(
                    readers.sorted { $0.key < $1.key }.compactMap { name, texts in
                        tables[name].map { (name, PackedTable($0, namedIn: texts).json) }
                    })),
            "figures": .array(figures.map(\.json)),
            "palettes": ["light": Palette.light.colours, "dark": Palette.dark.colours],
            "config": Palette.configuration,
        ]
        for (key, value) in sections.compactMap(\.body?.data) { data[key] = value }
        return .object(data)
    }

    private static func source(_ text: String) -> String {
        "'sha256-\(Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString())'"
    }

    // Mustache looks a missing name up in the enclosing object, so every name is always given, false where there is nothing.
    private func view(
        of section: Section, _ templates: PageTemplates, firstFigure number: inout Int
    ) throws(ReportError) -> [String: Any] {
        var figures: [[String: Any]] = []
        for figure in section.figures {
            number += 1
            let table = figure.shown.flatMap { tables[$0] }
            figures.append([
                "id": figure.id, "shown": figure.shown ?? false as Any, "label": figure.label,
                "caption": figure.caption, "number": number,
                "table": table.map { view(of: $0) as Any } ?? false,
                "more": table.flatMap { more($0) } ?? false,
            ])
        }
        var control: Any = false
        if let slider = section.control, slider.layers.count > 1 {
            control = [
                "figures": slider.figures.joined(separator: " "), "first": slider.layers.lowerBound,
                "last": slider.layers.upperBound, "value": slider.value,
            ]
        }
        return [
            "id": section.id, "title": section.title, "lead": section.lead,
            "paragraphs": section.paragraphs.map { ["text": $0] }, "control": control, "figures": figures,
            "body": try section.body.map { (body) throws(ReportError) in
                try templates.render(body.values, with: body.template)
            } ?? false as Any,
            "printed": section.printed.compactMap { tables[$0].map(view) },
            "method": section.method,
            "downloads": section.downloads.compactMap { name -> [String: Any]? in
                // A link that is in the page says so, and a script answers it.
                if embedded != nil { return ["href": "#\(section.id)", "name": "\(name).csv", "embedded": name] }
                return csvFolder.map {
                    ["href": Self.linkPath("\($0)/\(name).csv"), "name": "\(name).csv", "embedded": false]
                }
            },
        ]
    }

    private static func linkPath(_ path: String) -> String {
        path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? path
    }

    private func more(_ table: MetricTable) -> Any? {
        guard table.rows.count > Self.printedRows else { return nil }
        let which =
            isRanked(table)
            ? "These are \(Self.printedRows) of \(Prose.count(table.rows.count)) rows, the smallest p-values and the largest values first."
            : "These are the first \(Self.printedRows) of \(Prose.count(table.rows.count)) rows."
        return "\(which) `moescope report --csv` writes all of them to \(table.name).csv."
    }

    /// Of a table of very many rows, the first are those of one layer. Then those that say most are printed.
    private func isRanked(_ table: MetricTable) -> Bool {
        table.rows.count > PackedTable.mostRows && table.columns.contains { $0.kind == .real }
    }

    private func printed(_ table: MetricTable) -> some Sequence<[MetricCell]> {
        guard isRanked(table), let value = table.columns.firstIndex(where: { $0.kind == .real }) else {
            return Array(table.rows.prefix(Self.printedRows))
        }
        let p = table.columns.firstIndex { $0.name == "p_adjusted" }
        func number(_ cell: MetricCell?, or missing: Double) -> Double {
            if case .real(let number)? = cell, number.isFinite { number } else { missing }
        }
        let keys = table.rows.map { row in (number(p.map { row[$0] }, or: 2), -number(row[value], or: -.infinity)) }
        let order = table.rows.indices.sorted { (keys[$0].0, keys[$0].1, $0) < (keys[$1].0, keys[$1].1, $1) }
        return order.prefix(Self.printedRows).map { table.rows[$0] }
    }

    private func view(of table: MetricTable) -> [String: Any] {
        [
            "caption": table.title + (samples[table.name].map { ". \($0)" } ?? ""),
            "columns": table.columns.map { column -> [String: Any] in
                [
                    "name": column.name.replacing("_", with: " "), "definition": column.definition,
                    "unit": column.unit.isEmpty ? false as Any : column.unit, "numeric": column.kind != .text,
                ]
            },
            "rows": printed(table).map { row -> [String: Any] in
                [
                    "cells": zip(table.columns, row).map { column, value -> [String: Any] in
                        [
                            "text": Prose.cell(value),
                            "numeric": column.kind != .text,
                            "language": false,
                        ]
                    }
                ]
            },
        ]
    }
}
