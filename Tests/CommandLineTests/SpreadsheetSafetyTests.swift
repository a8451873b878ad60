import Foundation
import TestSupport
import Testing

/// A corpus names a group so that a spreadsheet would run it. Every door through which tables leave writes it as text.
struct SpreadsheetSafetyTests {
    private static let group = "=cmd|'/C calc'!A0"
    private let model = Fixtures.folder.appending(path: "parity/grouped").path
    private let few = ["--bootstrap", "20", "--permutations", "20"]

    /// A corpus of two groups, and its trace.
    private func make(in folder: URL) throws -> (corpus: String, trace: String) {
        let lines = (0..<12).map { index in
            let tokens = (0..<8).map { String(($0 * 7 + index * 5 + 1) % 40) }.joined(separator: ",")
            let group = index % 2 == 0 ? Self.group : "b"
            return #"{"id": "d\#(index)", "group": "\#(group)", "tokens": [\#(tokens)]}"#
        }
        let corpus = folder.appending(path: "corpus.jsonl")
        try Data(lines.joined(separator: "\n").utf8).write(to: corpus)
        let trace = folder.appending(path: "trace").path
        let made = try Moescope.run("trace", model, "--corpus", corpus.path, "--output", trace, "--precision", "exact")
        #expect(made.status == 0, "\(made.errors)")
        return (corpus.path, trace)
    }

    /// The group's cells, of lines without a quoted cell.
    private func expectText(_ csv: String, _ door: String) {
        let cells = csv.split(whereSeparator: \.isNewline).flatMap { $0.split(separator: ",") }
        #expect(cells.contains { $0 == "'" + Self.group }, "\(door)")
        #expect(!cells.contains { $0.hasPrefix("=") }, "\(door)")
    }

    @Test func noDoorWritesAFormula() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "csv-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (corpus, trace) = try make(in: folder)

        let metrics = try Moescope.run(arguments: ["metrics", trace, "domain-share", "--csv"] + few)
        expectText(metrics.output, "metrics --csv")
        let compared = try Moescope.run(arguments: ["compare", trace, trace, "--csv"] + few)
        expectText(compared.output, "compare --csv")
        #expect(!compared.output.contains("\r"))

        let output = folder.appending(path: "experiment")
        let experiment = try Moescope.run(
            arguments: [
                "experiment", "top-k", model, "--corpus", corpus, "--output", output.path, "--counts", "1",
                "--precision", "exact",
            ] + few)
        #expect(experiment.status == 0, "\(experiment.errors)")
        let effects = output.appending(path: "effects.csv")
        expectText(try String(contentsOf: effects, encoding: .utf8), "experiment")

        let tables = folder.appending(path: "tables")
        let report = try Moescope.run("report", trace, "--compare", output.path, "--csv", tables.path)
        #expect(report.status == 0, "\(report.errors)")
        for name in ["domain-share", "repetition", "experiment-effects"] {
            let file = tables.appending(path: "\(name).csv")
            expectText(try String(contentsOf: file, encoding: .utf8), "report --csv: \(name)")
        }
    }
}
