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

    /// The folder with the Python package; nil where there is none.
    static var package: URL? {
        packageFolder(environment: ProcessInfo.processInfo.environment).map { URL(filePath: $0) }
    }

    /// Whether the first argument asks for our help, not the script's.
    static func asksForHelp(_ arguments: [String]) -> Bool { ["-h", "--help"].contains(arguments.first) }

    /// The name Python starts under. From that of a virtual environment it finds the environment's packages, and
    /// `sys.executable` is what scripts start again for worker processes.
    private static func interpreterPath(environment: [String: String]) throws -> String {
        guard let folder = environment["VIRTUAL_ENV"], !folder.isEmpty else { return "python3" }
        let configuration = (try? String(contentsOfFile: folder + "/pyvenv.cfg", encoding: .utf8)) ?? ""
        let ours = "\(PY_MAJOR_VERSION).\(PY_MINOR_VERSION)"
        for line in configuration.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            guard parts.count == 2, parts[0] == "version" || parts[0] == "version_info" else { continue }
            guard parts[1] == ours || parts[1].hasPrefix(ours + ".") else {
                throw ValidationError(
                    "the active virtual environment \(folder) is Python \(parts[1]), and this program was built with "
                        + "\(ours). Run the script with the environment's own python3 (after `pip install .`), or "
                        + "deactivate it")
            }
        }
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
