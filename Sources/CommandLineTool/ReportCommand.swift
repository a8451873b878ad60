import ArgumentParser
import FileFormats
import Foundation
import ReportGenerator
import RoutingMetrics
import Traces

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Turn a trace into a page, tables, or a summary in the terminal.",
        discussion: """
            Without options, prints what was found. The page is one file that opens anywhere without a network; the tables are \
            one CSV file per metric, described by datapackage.json.

            Examples:
              moescope report traces/demo
              moescope report traces/demo --html report.html --csv report-tables --open
              moescope report traces/demo --figures figures --layers 0-3
              moescope report traces/exact traces/fast --html report.html
              moescope report traces/demo --compare experiments/ablation --html report.html
              moescope report traces/step-9000 --series traces/step-1000 --series traces/step-4000 --html report.html
            """)

    @Argument(
        help: ArgumentHelp(
            "A folder made by `moescope trace`; a second one of the same tokens is held against it.", valueName: "trace"
        ))
    var traces: [String]

    @Option(help: ArgumentHelp("Write the page here.", valueName: "file"))
    var html: String?

    @Option(help: ArgumentHelp("Write one CSV file per metric into this folder.", valueName: "folder"))
    var csv: String?

    @Option(help: ArgumentHelp("Write every figure as SVG, PNG and Vega-Lite into this folder.", valueName: "folder"))
    var figures: String?

    @Option(help: "The page's title.")
    var title: String?

    @Option(help: "Which tokens: prompt (all that were read), generated (by the model; see generate --trace), all.")
    var positions: MetricSettings.Positions = .prompt

    @Option(help: "What makes a group: group (as the corpus says) or length (quarters by tokens).")
    var by: MetricSettings.Grouping = .group

    @OptionGroup var statistics: StatisticsOptions

    @Option(help: ArgumentHelp("Look at these layers only, e.g. 0,3 or 0-5 (default: all).", valueName: "list"))
    var layers: String?

    @Option(
        help: ArgumentHelp(
            "Show these documents' tokens in the page, by id, comma-separated (default: a sample).", valueName: "ids"))
    var documents: String?

    @Option(
        help:
            ArgumentHelp(
                "Hold the trace against another of the same tokens, or show what this experiment found; may be repeated.",
                valueName: "folder"))
    var compare: [String] = []

    @Option(
        help:
            ArgumentHelp(
                "A trace of the same tokens by an earlier checkpoint; repeat in the order of training, to see when routing settled.",
                valueName: "folder"))
    var series: [String] = []

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @Flag(help: "Put the CSV tables into the page, so that its links still work where the page alone is sent on.")
    var embed = false

    @Flag(help: "Print one JSON object: the files written, the findings and the verdict on every sentence.")
    var json = false

    @Flag(help: "Open the page when it is written.")
    var open = false

    func validate() throws {
        guard traces.count <= 2 else {
            throw ValidationError("a report is about one trace, beside one other at most; \(traces.count) were given")
        }
        if open && html == nil {
            throw ValidationError("--open opens the page that --html writes: give --html FILE too")
        }
        if embed && html == nil {
            throw ValidationError("--embed puts tables into the page that --html writes: give --html FILE too")
        }
        if let threads, threads < 1 { throw ValidationError("--threads: expected at least 1, found \(threads)") }
    }

    func run() throws {
        let opened = try Trace(folder: URL(filePath: traces[0]))
        let beside = (traces.dropFirst() + compare).map { URL(filePath: $0) }
        let others = beside.filter { !RecordedExperiment.isThere($0) }
        let experiments = beside.filter(RecordedExperiment.isThere)
        guard others.count <= 1, experiments.count <= 1 else {
            throw ValidationError(
                "one trace and one experiment at most stand beside a trace; \(beside.map(\.relativePath).joined(separator: ", ")) were given"
            )
        }
        let experiment = try experiments.first.map { try RecordedExperiment(folder: $0, beside: opened) }
        let other = try others.first.map { try Trace(folder: $0) }
        var settings = MetricSettings(grouping: by, positions: positions, threads: threads)
        statistics.apply(to: &settings)
        settings.layers = try layers.map { try parseIntegers($0, option: "--layers") }
        let earlier = try series.map { try Trace(folder: URL(filePath: $0)) }
        let line = ProgressLine("report", unit: "steps", showsSpeed: false)
        var steps = 0
        defer { line.finish() }
        var report = Report(
            trace: opened,
            metrics: try ReportMetrics(
                opened, comparedWith: other, earlier: earlier, settings: settings,
                progress: { done, total, next in
                    steps = total
                    line.update(done, of: total, detail: next)
                }),
            title: title)
        report.experiment = experiment
        if let documents { try report.showDocuments(documents.split(separator: ",").map(String.init)) }

        // Files first: they are whole, whatever becomes of standard output.
        let tables = csv.map { URL(filePath: $0) }
        let file = html.map { URL(filePath: $0) }
        if let tables { try report.writeTables(to: tables) }
        let hasFigures = try file.map { try report.writePage(to: $0, tables: tables, embedsTables: embed) } ?? true
        let drawn = try figures.map { try FigureFiles(report).write(to: URL(filePath: $0)) }
        line.update(steps, of: steps)
        line.finish()
        if let sample = report.metrics.results.first?.sample { statistics.sayDraws(sample.settings) }
        if !hasFigures { say("note: \(VegaBundle.advice)") }
        if json {
            let files = ReportSummary.Files(
                page: file?.relativePath, tables: tables?.relativePath,
                figures: figures)
            try print(report.summary(files).prettyJSON(keys: .convertToSnakeCase))
        } else {
            if let tables { try print("tables:  \(tables.relativePath)") }
            if let file { try print("page:    \(file.relativePath)") }
            if let figures, let drawn {
                try print("figures: \(figures) (\(drawn.count), each as SVG, PNG and Vega-Lite)")
            }
        }
        if open, let file { try Self.show(file) }
        if !json && html == nil && csv == nil && figures == nil {
            let colour = isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
            try print(TerminalSummary(report, colour: colour).text, isStyled: colour)
        }
    }

    private static func show(_ file: URL) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["xdg-open", file.path]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        if process.terminationStatus != 0 { say("note: no program to open \(file.path) with (xdg-open)") }
    }
}
