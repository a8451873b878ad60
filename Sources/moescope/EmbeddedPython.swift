import ArgumentParser
import CPython
import CPythonEmbed
import Foundation
import PythonModule

/// The Python interpreter inside this program: the same main program as python3's, with `_moescope` built in.
enum EmbeddedPython {
    /// Runs python3's main program and returns its exit code. Tracebacks, signals and buffering are Python's own.
    ///
    /// - Parameter arguments: as for python3, without the program's name.
    static func run(_ arguments: [String]) throws -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        let program = try interpreterPath(environment: environment)
        if let package = packageFolder(environment: environment) {
            let path = [environment["PYTHONPATH"], package].compactMap { $0 }.filter { !$0.isEmpty }
            setenv("PYTHONPATH", path.joined(separator: ":"), 1)
        }
        // Another interpreter that the script starts finds the engine of this build, not whichever was built last.
        let library = path(beside: "lib_moescope.so")
        if environment["MOESCOPE_LIBRARY"] == nil, FileManager.default.fileExists(atPath: library) {
            setenv("MOESCOPE_LIBRARY", library, 1)
        }
        setenv("MOESCOPE_PROGRAM", path(beside: nil), 1)
        // Python keeps the pointer to the name.
        let name: StaticString = "_moescope"
        let pointer = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        guard PyImport_AppendInittab(pointer, initializeModule) == 0 else {
            throw ValidationError("python: not enough memory to start the interpreter")
        }
        var copies = ([program] + arguments).map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        copies.append(nil)
        return Py_BytesMain(Int32(arguments.count + 1), &copies)
    }

    /// The arguments for python3 where this program is started as `moescope -c …` or `-m …`, with other options of
    /// python3 before them: so multiprocessing starts its workers. nil for everything else.
    static func interpreterArguments(_ commandLine: [String]) -> [String]? {
        guard let first = commandLine.dropFirst().first, first.hasPrefix("-"), first != "-h",
            first.dropFirst().first.map({ $0.isASCII && $0.isLetter }) ?? false,
            commandLine.contains("-c") || commandLine.contains("-m")
        else { return nil }
        return Array(commandLine.dropFirst())
    }

    /// Path of a file beside this program, or of the program itself.
    private static func path(beside name: String?) -> String {
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return name.map { program.deletingLastPathComponent().appending(path: $0).path } ?? program.path
    }

    /// The folder with the Python package; nil where there is none.
    static var package: URL? {
        packageFolder(environment: ProcessInfo.processInfo.environment).map { URL(filePath: $0) }
    }

    /// Whether the first argument asks for our help, not the script's.
    static func asksForHelp(_ arguments: [String]) -> Bool { ["-h", "--help"].contains(arguments.first) }

    /// The name Python starts under. From that of a virtual environment it finds the environment's packages, and
    /// `sys.executable` is what scripts start again for worker processes.
    private static func interpreterPath(environment: [String: String]) throws -> String {
        if let home = environment["PYTHONHOME"], !home.isEmpty, let problem = VirtualEnvironment.problem(home: home) {
            throw ValidationError(problem)
        }
        // Python looks for its library near the program of this name: not that of whichever python3 comes first in PATH.
        guard let folder = environment["VIRTUAL_ENV"], !folder.isEmpty else {
            return VirtualEnvironment.ownInterpreter ?? "python3"
        }
        if let problem = VirtualEnvironment(folder).problem { throw ValidationError(problem) }
        return folder + "/bin/python3"
    }

    /// The folder that holds the Python package: of the checkout this program was built in, or beside an installed one.
    private static func packageFolder(environment: [String: String]) -> String? {
        if let given = environment["MOESCOPE_PYTHON"], !given.isEmpty { return given }
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        var candidates = [program.deletingLastPathComponent().appendingPathComponent("share/moescope/Python")]
        var folder = program.standardizedFileURL
        while folder.path != "/" {
            candidates.append(folder.appendingPathComponent("Python"))
            folder = folder.deletingLastPathComponent().standardizedFileURL
        }
        return candidates.first {
            FileManager.default.fileExists(atPath: $0.appendingPathComponent("moescope/__init__.py").path)
        }?.path
    }
}
