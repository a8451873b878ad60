import ArgumentParser
import FileFormats
import Foundation
import Tracing

@main
struct Moescope: ParsableCommand {
    static let version = Version.current

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
            CalibrateCommand.self,
            RunCommand.self,
            PythonCommand.self,
        ])

    /// Runs on the process's first thread, whose signals are as the caller left them: programs that a command or a Python script
    /// starts inherit them.
    static func main() {
        StandardStreams.prepare()
        do {
            if let arguments = EmbeddedPython.interpreterArguments(CommandLine.arguments) {
                throw ExitCode(try EmbeddedPython.run(arguments))
            }
            var command = try parseAsRoot()
            try command.run()
            try MappedFile.check()
        } catch {
            end(with: error)
        }
    }

    /// Says what an error has to say and ends the process. Help and the version are results; they go to standard output.
    private static func end(with error: any Error) -> Never {
        let text = fullMessage(for: error)
        let code = exitCode(for: error)
        guard !text.isEmpty else { Foundation.exit(code.rawValue) }
        guard code.isSuccess else {
            say(text)
            Foundation.exit(code.rawValue)
        }
        do {
            try print(text)
            Foundation.exit(code.rawValue)
        } catch {
            say("Error: \(error)")
            Foundation.exit(ExitCode.failure.rawValue)
        }
    }
}
