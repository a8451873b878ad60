import ArgumentParser
import CPython
import CPythonEmbed
import CommandLineTool
import FileFormats
import Foundation
import PythonModule

/// The Python interpreter inside this program: the same main program as python3's, with `_moescope` built in.
enum EmbeddedPython {
    static let host = PythonHost(isEmbedded: true, program: ProgramFolder.file, prefix: ["python"], run: run)

    /// Runs python3's main program and returns its exit code. Tracebacks, signals and buffering are Python's own.
    ///
    /// - Parameter arguments: as for python3, without the program's name.
    @Sendable private static func run(_ arguments: [String]) throws -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        let program = try interpreterPath(environment: environment)
        if let package = PythonHost.package?.path {
            let path = [environment["PYTHONPATH"], package].compactMap { $0 }.filter { !$0.isEmpty }
            setenv("PYTHONPATH", path.joined(separator: ":"), 1)
        }
        // Another interpreter that the script starts finds the engine of this build, not whichever was built last.
        let library = ProgramFolder.url.appending(path: "lib_moescope.so").path
        if environment["MOESCOPE_LIBRARY"] == nil, FileManager.default.fileExists(atPath: library) {
            setenv("MOESCOPE_LIBRARY", library, 1)
        }
        setenv("MOESCOPE_PROGRAM", ProgramFolder.file.path, 1)
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
}
