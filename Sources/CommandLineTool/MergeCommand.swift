import ArgumentParser
import Foundation
import Traces

struct MergeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Join traces of the same model and capture into one.",
        discussion: """
            The traces must be complete, and of the same model, tokenizer, capture, interventions and precision; the first field \
            that differs is named. A document's id may be in one of them only. Documents keep their order, trace after trace; the \
            manifest's "provenance" says what was joined.

            Examples:
              moescope merge traces/german traces/french --output traces/both
              moescope merge parts/* --output traces/whole
            """)

    @Argument(help: ArgumentHelp("Folders of the traces, in the order in which they are joined.", valueName: "trace"))
    var traces: [String]

    @Option(name: .shortAndLong, help: ArgumentHelp("Folder to write the trace to.", valueName: "folder"))
    var output: String

    func validate() throws {
        guard traces.count > 1 else { throw ValidationError("expected two traces or more, found \(traces.count)") }
    }

    func run() throws {
        try TraceCopy.merge(try traces.map { try Trace(folder: URL(filePath: $0)) })
            .writeShowingProgress(to: output, label: "joining")
    }
}
