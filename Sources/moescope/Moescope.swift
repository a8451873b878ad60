import ArgumentParser

@main
struct Moescope: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "moescope",
        abstract: "See how a mixture-of-experts language model routes.",
        discussion: """
            From a corpus to a report in two commands:
              moescope trace polyglot --corpus Models/polyglot/heldout.jsonl --output traces/demo
              moescope report traces/demo --html demo.html
            """,
        version: version,
        subcommands: [
            TraceCommand.self,
            GenerateCommand.self,
            InspectCommand.self,
            MemoryCommand.self,
            QuantizeCommand.self,
            ImportanceCommand.self,
            BenchCommand.self,
            ReportCommand.self,
            HooksCommand.self,
            MetricsCommand.self,
            CompareCommand.self,
            ExperimentCommand.self,
            VerifyCommand.self,
            RunCommand.self,
            PythonCommand.self,
        ])
}
