import ArgumentParser
import Foundation

struct ExportCommand: ParsableCommand {
    enum Format: String, CaseIterable, ExpressibleByArgument, Encodable {
        case parquet, arrow, csv, npz
    }

    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a trace as tables: Parquet, Arrow, CSV or NumPy archives.",
        discussion: """
            Tables in the folder, in bounded memory whatever the trace's size:
              documents  index, id, group, tokens, …: one row for each document
              tokens     document, position, token, text, logprob: one row for each token
              routing    document, position, layer, experts, weights: one row for each token and layer; with --logits, logits
              load       layer, group, expert, assignments

            Parquet files of tokens and routing are partitioned by group (group=de/…) and compressed with ZSTD; each column's \
            description is in the schema. `moescope import --from parquet` makes the same trace of them again, but for what is not \
            exported: attention, speculation.

            It needs pyarrow: pip install pyarrow. npz needs NumPy only, and memory for one file's documents and one layer of the trace.

            Examples:
              moescope export traces/demo --format parquet --output tables/demo
              moescope export traces/demo --format parquet --logits --groups de,fr --output tables/two
              duckdb -c "SELECT layer, experts[1] AS first, count(*) FROM 'tables/demo/routing/*/*.parquet' GROUP BY ALL"
            """)

    @Argument(help: "The trace's folder.")
    var trace: String

    @Option(help: "parquet, arrow (Arrow IPC files), csv or npz.")
    var format: Format = .parquet

    @Option(name: .shortAndLong, help: ArgumentHelp("Folder to write the tables to.", valueName: "folder"))
    var output: String

    @Option(help: ArgumentHelp("Only these tables: documents, tokens, routing, load.", valueName: "list"))
    var tables = "documents,tokens,routing,load"

    @Option(help: ArgumentHelp("Only documents of these groups.", valueName: "list"))
    var groups: String?

    @Flag(help: "Router logits too, where the trace has them.")
    var logits = false

    @Option(help: ArgumentHelp("Files written at a time (default: one for each processor).", valueName: "n"))
    var threads: Int?

    private struct Request: Encodable {
        var trace: String
        var format: Format
        var output: String
        var tables: [String]
        var groups: [String]?
        var logits: Bool
        var threads: Int?
    }

    static let known = ["documents", "tokens", "routing", "load"]

    func validate() throws {
        for name in tables.split(separator: ",") where !Self.known.contains(String(name)) {
            throw ValidationError("--tables: expected \(Self.known.joined(separator: ", ")), found \"\(name)\"")
        }
        if let threads, threads < 1 { throw ValidationError("--threads: expected at least 1, found \(threads)") }
    }

    func run() throws {
        try PythonPart.run(
            "exporting",
            Request(
                trace: trace, format: format, output: output, tables: tables.split(separator: ",").map(String.init),
                groups: groups.map { $0.split(separator: ",").map(String.init) }, logits: logits, threads: threads))
    }
}
