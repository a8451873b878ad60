import Foundation
import RoutingMetrics

/// The findings and the main numbers as text of 80 columns: what `moescope report TRACE` prints.
public struct TerminalSummary: Sendable {
    let report: Report
    /// Whether escape sequences for colour and weight may be used.
    let colour: Bool

    private static let width = 80

    public init(_ report: Report, colour: Bool) {
        self.report = report
        self.colour = colour
    }

    public var text: String {
        var lines = Self.wrap(report.title, indent: 0).map { style($0, "1") }
        let model = report.manifest.model
        let sample = report.metrics.sample
        let facts =
            "\(Prose.plural(model.layers, "layer")) of \(Prose.plural(model.experts, "expert")), \(model.expertsPerToken) per token; "
            + "\(Prose.plural(sample?.documents ?? report.manifest.documents, "document")), "
            + "\(Prose.plural(sample?.tokens ?? report.manifest.tokens, "token"))"
        lines += Self.wrap(facts, indent: 0).map { style($0, "2") } + [""]
        for (number, finding) in Findings(metrics: report.metrics, names: report.names).all.enumerated() {
            let claim = Self.wrap(finding.claim, indent: 3)
            lines += claim.enumerated().map {
                $0.offset == 0 ? "\(number + 1)  " + $0.element.dropFirst(3) : $0.element
            }
            lines += Self.wrap(finding.evidence, indent: 3).map { style($0, "2") } + [""]
        }
        lines += beside + information + groups + load
        return lines.joined(separator: "\n")
    }

    private var sections: Sections { report.sections }

    /// What the trace was held against.
    private var beside: [String] {
        [sections.agreement, sections.experimentSection].compactMap(\.self).flatMap { section in
            [style(section.title, "1")] + Self.wrap(section.lead, indent: 3) + [""]
        }
    }

    private var information: [String] {
        guard let metric = report.metrics.information, let most = metric.layers.map(\.information.value).max() else {
            return []
        }
        let rows = metric.layers.map { layer -> String in
            let mark = Verdict.isFound(layer.adjustedP) ? "*" : " "
            return Self.left("  layer \(layer.layer)", 11)
                + Self.right(Prose.number(max(0, layer.information.value)), 7) + " \(mark) "
                + bar(layer.information.value / max(most, 1e-9), columns: 40) + "  "
                + style(Self.range(layer.information, Prose.number), "2")
        }
        return [style("Information between \(report.names.noun) and expert in bits (* p < \(Verdict.level))", "1")]
            + rows + [""]
    }

    private var groups: [String] {
        guard let metric = report.metrics.domainShare else { return [] }
        let layer = sections.mostInformativeLayer
        let rows = metric.rows.filter { $0.layer == layer && $0.share != nil }
        let groups = metric.sample.groups.map(\.name).filter { group in rows.contains { $0.group == group } }
        // As many experts as fit the width; the others are in the tables.
        let label = min(14, (groups.map(\.count).max() ?? 0) + 4)
        let experts = min(report.manifest.model.experts, (Self.width - label) / 6)
        guard !groups.isEmpty, experts > 0 else { return [] }
        var lines = [
            style(
                "Share of each \(report.names.noun)'s assignments by expert in layer \(layer), in % (uniform: \(Prose.percent(metric.uniform)); * p < \(Verdict.level))",
                "1"),
            Self.left("", label) + (0..<experts).map { Self.right("\($0)", 5) + " " }.joined(),
        ]
        for group in groups {
            let cells = rows.filter { $0.group == group && $0.expert < experts }.map { row -> String in
                let share = row.share?.value ?? 0
                let text =
                    Self.right(String(format: "%.0f", 100 * share), 5)
                    + (Verdict.isFound(row.adjustedP) ? "*" : " ")
                return share > 2 * metric.uniform
                    ? style(text, "1;34") : share < metric.uniform / 2 ? style(text, "2") : text
            }
            lines.append(Self.left("  " + group, label) + cells.joined())
        }
        if experts < report.manifest.model.experts {
            lines.append("  … and \(report.manifest.model.experts - experts) more experts: --csv writes all")
        }
        return lines + [""]
    }

    private var load: [String] {
        guard let metric = report.metrics.load else { return [] }
        let most = metric.layers.map(\.maxOverMean.value).max() ?? 1
        return [style("Load of the most loaded expert, as a multiple of a uniform share", "1")]
            + metric.layers.map { layer in
                let dead =
                    layer.deadExperts.isEmpty
                    ? "" : "  \(Prose.plural(layer.deadExperts.count, "expert")) without tokens"
                return Self.left("  layer \(layer.layer)", 11)
                    + Self.right(Prose.number(layer.maxOverMean.value) + "×", 7) + "   "
                    + bar(layer.maxOverMean.value / max(most, 1e-9), columns: 40) + dead
            }
    }

    private static func range(_ estimate: Estimate, _ format: (Double) -> String) -> String {
        guard let low = estimate.lower, let high = estimate.upper else { return "" }
        return "\(format(max(0, low)))–\(format(max(0, high)))"
    }

    private func bar(_ share: Double, columns: Int) -> String {
        let eighths = Int((max(0, min(1, share)) * Double(columns * 8)).rounded())
        let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
        let text = String(repeating: "█", count: eighths / 8) + parts[eighths % 8]
        return style(text, "34") + String(repeating: " ", count: columns - (eighths + 7) / 8)
    }

    private func style(_ text: String, _ code: String) -> String { colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }

    private static func left(_ text: String, _ columns: Int) -> String {
        let safe = printable(text)
        return safe.count >= columns
            ? String(safe.prefix(columns - 1)) + " " : safe + String(repeating: " ", count: columns - safe.count)
    }

    private static func right(_ text: String, _ columns: Int) -> String {
        String(repeating: " ", count: max(0, columns - text.count)) + text
    }

    /// Names come from a corpus: nothing of them may steer the terminal.
    private static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .surrogate, .lineSeparator, .paragraphSeparator: "\u{FFFD}"
                    default: scalar
                    }
                }))
    }

    static func wrap(_ text: String, indent: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in printable(text).split(separator: " ") {
            if !line.isEmpty, indent + line.count + 1 + word.count > width {
                lines.append(String(repeating: " ", count: indent) + line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        if !line.isEmpty { lines.append(String(repeating: " ", count: indent) + line) }
        return lines
    }
}
