import ArgumentParser
import Calibration
import FileFormats
import Foundation
import Traces
import Tracing

struct CalibrateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calibrate",
        abstract: "Count how often each sentence of a report is false, in simulation.",
        discussion: """
            Draws traces in which groups do not differ, judges every sentence that a report could print of them, and counts. With --power
            it plants effects of several sizes, and says from which on a sentence is printed in four of five traces.

            Examples:
              moescope calibrate --traces 100 --scenario iid
              moescope calibrate --traces 500 --output calibration.jsonl
              moescope calibrate --power --traces 200 --output power.jsonl

            With --output a run that was stopped goes on where it was.
            """)

    @Option(help: .init("Traces of each scenario.", valueName: "n"))
    var traces = 500

    @Option(help: .init("Only this scenario; may be given several times. --list names them.", valueName: "name"))
    var scenario: [String] = []

    @Flag(help: "Name the scenarios and end.")
    var list = false

    @Flag(help: "Plant effects, and count how often they are found.")
    var power = false

    @Option(help: .init("Permutations of group labels.", valueName: "n"))
    var permutations = 199

    @Option(help: .init("Bootstrap replicates.", valueName: "n"))
    var bootstrap = 199

    @Option(
        help: .init("JSON Lines file that keeps counts, and that a stopped run is continued from.", valueName: "file"))
    var output: String?

    @Flag(help: "Print JSON.")
    var json = false

    /// Traces whose counts are written together.
    private static let block = 50

    /// One line of the file.
    private struct Line: Codable {
        var first: Int
        /// Traces drawn from `first` on.
        var size: Int?
        var permutations: Int?
        var bootstrap: Int?
        var moescope: String?
        var rate: ClaimRate
    }

    func validate() throws {
        guard traces > 0 else { throw ValidationError("--traces: expected 1 or more, found \(traces)") }
        guard permutations >= 19 else {
            throw ValidationError("--permutations: expected 19 or more, found \(permutations)")
        }
    }

    func run() throws {
        guard !list else {
            for scenario in Scenario.nulls { try print("\(scenario.name): \(scenario.about)") }
            return
        }
        for name in scenario where !Scenario.nulls.contains(where: { $0.name == name }) {
            throw ValidationError(
                "no scenario \"\(name)\"; there are \(Scenario.nulls.map(\.name).joined(separator: ", "))")
        }
        let wanted =
            power
            ? Scenario.powerStudies : Scenario.nulls.filter { scenario.isEmpty || scenario.contains($0.name) }
        let calibration = Calibration(permutations: permutations, bootstrap: bootstrap)
        let lock = try output.map { try FolderLock(file: URL(filePath: $0)) }
        defer { withExtendedLifetime(lock) {} }
        let known = try output.map(read) ?? []
        let progress = ProgressLine("calibrating", unit: "traces")
        var totals: [ClaimRate] = []
        for (place, scenario) in wanted.enumerated() {
            var rates = calibration.sentences.map {
                ClaimRate(scenario: scenario.name, sentence: $0.rawValue, traces: 0, claims: 0)
            }
            for first in stride(from: 0, to: traces, by: Self.block) {
                progress.update(place * traces + first, of: wanted.count * traces, detail: scenario.name)
                let size = min(Self.block, traces - first)
                var found = known.filter {
                    $0.first == first && $0.size == size && $0.rate.scenario == scenario.name
                }.map(\.rate)
                if found.isEmpty {
                    found = try calibration.rates(scenario, traces: first..<first + size)
                    try append(
                        found.map {
                            Line(
                                first: first, size: size, permutations: permutations, bootstrap: bootstrap,
                                moescope: Version.current, rate: $0)
                        })
                }
                for rate in found {
                    guard let index = rates.firstIndex(where: { $0.sentence == rate.sentence }) else { continue }
                    rates[index].traces += rate.traces
                    rates[index].claims += rate.claims
                }
            }
            totals += rates.filter { rate in
                guard let sentence = Sentence(rawValue: rate.sentence) else { return false }
                return rate.traces > 0 && (power ? scenario.isFound(by: sentence) : scenario.isFalse(sentence))
            }
        }
        progress.update(wanted.count * traces, of: wanted.count * traces)
        progress.finish()
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try print(String(decoding: try encoder.encode(totals), as: UTF8.self))
        } else {
            if power { try print(Self.table(DetectableEffect.all(wanted, totals)) + "\n") }
            try print(Self.table(totals, name: power ? "planted" : "scenario"))
        }
    }

    /// What a stopped run left.
    /// - Throws: where the file cannot be read, or holds something else, or counts of other settings.
    private func read(_ output: String) throws -> [Line] {
        let url = URL(filePath: output)
        guard FileManager.default.fileExists(atPath: url.path) else { return [] }
        return try Data(contentsOf: url).split(separator: UInt8(ascii: "\n")).enumerated().map { number, text in
            func differs(_ field: String, _ expected: String, _ found: String?) -> FileError {
                FileError.trace(
                    .mismatch, file: output, field: "line \(number + 1), field \(field)", expected: expected,
                    found: found ?? "nothing",
                    hint: "a run is continued with the same settings; choose another --output")
            }
            let line = try TraceCoding.decode(Line.self, from: text, file: output, place: "line \(number + 1)")
            guard line.permutations == permutations else {
                throw differs("permutations", "\(permutations)", line.permutations.map(String.init))
            }
            guard line.bootstrap == bootstrap else {
                throw differs("bootstrap", "\(bootstrap)", line.bootstrap.map(String.init))
            }
            guard line.moescope == Version.current else {
                throw differs("moescope", Version.current, line.moescope)
            }
            return line
        }
    }

    private func append(_ lines: [Line]) throws {
        guard let output else { return }
        let url = URL(filePath: output)
        var text = FileManager.default.fileExists(atPath: url.path) ? try Data(contentsOf: url) : Data()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        for line in lines { text += try encoder.encode(line) + Data("\n".utf8) }
        try AtomicFileWriter.write(text, to: url)
    }

    /// Markdown: from which effect on each sentence is found.
    private static func table(_ effects: [DetectableEffect]) -> String {
        markdown(
            ["sentence", "planted", "documents per group", "effect found in 80 % of traces"],
            effects.map {
                [
                    $0.sentence, $0.planted, "\($0.documents)",
                    $0.effect.map { String(format: "%.2f", $0) } ?? "more than was tried",
                ]
            })
    }

    private static func markdown(_ header: [String], _ rows: [[String]]) -> String {
        ([header, header.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
            .joined(separator: "\n")
    }

    /// Markdown: a row per scenario and sentence.
    private static func table(_ rates: [ClaimRate], name: String) -> String {
        let header = ["\(name)", "sentence", "traces", "printed", "rate", "95 % upper bound"]
        func percent(_ share: Double) -> String { String(format: "%.1f %%", 100 * share) }
        let rows = rates.map {
            [$0.scenario, $0.sentence, "\($0.traces)", "\($0.claims)", percent($0.rate), percent($0.upper)]
        }
        return markdown(header, rows)
    }
}
