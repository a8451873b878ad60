import ArgumentParser

struct PythonCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "python",
        abstract: "Python with moescope built in; without arguments, a prompt.",
        discussion: """
            Takes the arguments of python3: -c COMMAND, -m MODULE, a script and its arguments. An active virtual \
            environment's packages are there. `moescope -c COMMAND` is short for `moescope python -c COMMAND`; worker processes \
            of Python's multiprocessing are started that way.
            """)

    @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("As for python3.", valueName: "argument"))
    var arguments: [String] = []

    mutating func run() throws {
        if PythonHost.asksForHelp(arguments) { throw CleanExit.helpRequest(Self.self) }
        throw ExitCode(try PythonHost.run(arguments))
    }
}
