import ArgumentParser
import FileFormats
import Foundation
import Hooks
import Tracing
import Traces

/// The command line: every command, and how they begin and end.
package struct Moescope: ParsableCommand {
    static let version = Version.current

    package static let configuration = CommandConfiguration(
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

    package init() {}

    /// Runs a command line and ends the process where there is something to say, or an exit code.
    ///
    /// It is called on the process's first thread, whose signals are as the caller left them: programs that a command or a Python
    /// script starts inherit them.
    /// - Parameter arguments: the program's name first.
    package static func main(_ arguments: [String], python: PythonHost) {
        StandardStreams.prepare()
        PythonHost.current = python
        do {
            if let arguments = python.interpreterArguments(arguments) {
                throw ExitCode(try PythonHost.run(arguments))
            }
            try checkCommand(arguments.dropFirst().first)
            var command = try parseAsRoot(Array(arguments.dropFirst()))
            try command.run()
            try MappedFile.check()
        } catch {
            end(with: error)
        }
    }

    /// - Throws: where the first word is no command, with the nearest one.
    private static func checkCommand(_ word: String?) throws {
        var names: [String] = []
        for command in configuration.subcommands {
            if let name = command.configuration.commandName { names.append(name) }
        }
        guard let word, !word.hasPrefix("-"), !word.isEmpty, word != "help", !names.contains(word) else { return }
        var hint = ""
        var least = 3
        for name in names where word.editDistance(to: name) < least {
            least = word.editDistance(to: name)
            hint = ". Did you mean '\(name)'?"
        }
        throw ValidationError("there is no command '\(word.prefix(60))'\(hint)")
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
