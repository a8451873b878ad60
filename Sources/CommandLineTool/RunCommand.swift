import ArgumentParser
import Foundation

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a Python script with moescope built in.",
        discussion: """
            The script sees its arguments in sys.argv and ends the command with its exit code (120 where standard output \
            could not be written whole, as with python3). An active virtual environment's packages are there.

            Example: moescope run Analyses/language_specialization.py --help
            """)

    @Argument(
        parsing: .captureForPassthrough,
        help: ArgumentHelp("The script, then its arguments.", valueName: "script"))
    var arguments: [String] = []

    mutating func run() throws {
        if PythonHost.asksForHelp(arguments) { throw CleanExit.helpRequest(Self.self) }
        guard let script = arguments.first else { throw ValidationError("run: expected a script") }
        guard FileManager.default.isReadableFile(atPath: script) else {
            throw ValidationError("run: \(script): no such file, or it cannot be read")
        }
        throw ExitCode(try PythonHost.run(arguments))
    }
}
