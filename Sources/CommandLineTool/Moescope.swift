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
            MergeCommand.self,
            SplitCommand.self,
            SubsetCommand.self,
            ImportCommand.self,
            ExportCommand.self,
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
            var command: any ParsableCommand
            do {
                command = try parseAsRoot(Array(arguments.dropFirst()))
            } catch {
                // A misspelt option is why another one is missing.
                if !exitCode(for: error).isSuccess { try checkOptions(Array(arguments.dropFirst())) }
                throw error
            }
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
        let hint = word.nearest(among: names).map { ". Did you mean '\($0)'?" } ?? ""
        throw ValidationError("there is no command '\(word.prefix(60))'\(hint)")
    }

    /// - Throws: where an option is none of the command's and is nearly one, with that one.
    private static func checkOptions(_ words: [String]) throws {
        guard
            let command = configuration.subcommands.first(where: { $0.configuration.commandName == words.first })
        else { return }
        let known = Set(command.helpMessage(columns: 1000).matches(of: /--[a-z][a-z0-9-]*/).map { String($0.output) })
        for word in words.dropFirst().prefix(while: { $0 != "--" }) where word.hasPrefix("--") {
            let option = word.prefix { $0 != "=" }
            guard !known.contains(String(option)), let nearest = String(option).nearest(among: known.sorted()) else {
                continue
            }
            throw ValidationError("Unknown option '\(option.prefix(60))'. Did you mean '\(nearest)'?")
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

extension String {
    /// The first of the names that most resembles it; nil where none is within two letters.
    fileprivate func nearest(among names: [String]) -> String? {
        var nearest: String?
        var least = 3
        for name in names {
            let distance = editDistance(to: name)
            guard distance < least else { continue }
            (least, nearest) = (distance, name)
        }
        return nearest
    }
}
