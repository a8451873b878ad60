import Calibration
import Foundation
import RoutingMetrics

/// What a simulation counted, as Markdown.
enum CalibrationTables {
    /// From which effect on each sentence is found.
    static func markdown(_ effects: [DetectableEffect]) -> String {
        table(
            ["sentence", "planted", "documents per group", "effect found in 80 % of traces"],
            effects.map {
                [
                    $0.sentence, $0.planted, "\($0.documents)",
                    $0.effect.map { String(format: "%.2f", $0) } ?? "more than was tried",
                ]
            })
    }

    /// A row per scenario and sentence.
    static func markdown(_ rates: [Rate], name: String) -> String {
        table(
            ["\(name)", "sentence", "traces", "printed", "rate", "95 % upper bound"],
            rates.map {
                [$0.scenario, $0.subject, "\($0.count)", "\($0.hits)", percent($0.rate), percent($0.upper)]
            })
    }

    /// A row per table and column, and a column per scenario; what is outside of what is wanted is marked.
    static func coverage(_ rates: [Rate], columns: [String]) -> String {
        let subjects = Set(rates.map(\.subject)).sorted()
        return table(
            ["interval"] + columns,
            subjects.map { subject in
                [subject]
                    + columns.map { column in
                        guard let rate = rates.first(where: { $0.subject == subject && $0.scenario == column }) else {
                            return ""
                        }
                        let text = String(format: "%.1f", 100 * rate.rate)
                        return Coverage.wanted(subject).contains(rate.rate) ? text : "**\(text)**"
                    }
            })
    }

    private static func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }

    private static func table(_ header: [String], _ rows: [[String]]) -> String {
        ([header, header.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
            .joined(separator: "\n")
    }
}
