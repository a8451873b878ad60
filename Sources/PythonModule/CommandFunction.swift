import CPython
import CommandLineTool
import Foundation

/// `_moescope.command`: the command line of a library that pip has installed.
enum CommandFunction {
    /// `command(arguments, interpreter) -> never`: the program's name first; then the path of the Python that has loaded this library,
    /// which `moescope run` goes on as.
    static func run(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let words = try FromPython.strings(try arguments[0], "arguments")
        let interpreter = try FromPython.string(try arguments[1], "interpreter")
        // Python has its own answers to these; a command has the system's.
        signal(SIGINT, SIG_DFL)
        signal(SIGPIPE, SIG_DFL)
        Moescope.main(words, python: PythonHost(interpreter))
        exit(0)
    }
}
