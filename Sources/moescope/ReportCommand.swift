import ArgumentParser
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
            """)

    @Argument(help: ArgumentHelp("A folder made by `moescope trace`.", valueName: "trace"))
    var trace: String

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

    @Option(help: ArgumentHelp("Look at these layers only, e.g. 0,3 or 0-5 (default: all).", valueName: "list"))
    var layers: String?

    @Option(
        help: ArgumentHelp(
            "Show these documents' tokens in the page, by id, comma-separated (default: a sample).", valueName: "ids"))
    var documents: String?

    @Option(help: ArgumentHelp("Hold the trace against this one of the same tokens.", valueName: "trace"))
    var compare: String?

    @Flag(help: "Open the page when it is written.")
    var open = false

    func validate() throws {
        if open && html == nil {
            throw ValidationError("--open opens the page that --html writes: give --html FILE too")
        }
    }

    func run() throws {
        let opened = try Trace(folder: URL(filePath: trace))
        let other = try compare.map { try Trace(folder: URL(filePath: $0)) }
        var settings = MetricSettings(positions: positions)
        settings.layers = try layers.map { try parseIntegers($0, option: "--layers") }
        var report = Report(
            trace: opened, metrics: try ReportMetrics(opened, comparedWith: other, settings: settings), title: title)
        if let documents { try report.showDocuments(documents.split(separator: ",").map(String.init)) }

        let tables = csv.map { URL(filePath: $0) }
        if let tables {
            try report.writeTables(to: tables)
            print("tables:  \(tables.relativePath)")
        }
        if let html {
            let file = URL(filePath: html)
            if try !report.writePage(to: file, tables: tables) { say("note: \(VegaBundle.advice)") }
            print("page:    \(file.relativePath)")
            if open { try Self.show(file) }
        }
        if let figures {
            let names = try FigureFiles(report).write(to: URL(filePath: figures))
            print("figures: \(figures) (\(names.count), each as SVG, PNG and Vega-Lite)")
        }
        if html == nil && csv == nil && figures == nil {
            let colour = isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
            print(TerminalSummary(report, colour: colour).text)
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
