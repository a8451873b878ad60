import CPython
import Foundation

/// A virtual environment that a script is to run in, as its `pyvenv.cfg` describes it.
///
/// Python takes its standard library from the installation that made the environment. That library works with the
/// interpreter it was built with only: its Python files call functions of that very release, its compiled modules
/// expect that very build. So the environment must come from the installation that this program's libpython belongs to.
struct VirtualEnvironment {
    let folder: String
    /// As written: "3.11.7"; nil where the file does not say.
    private(set) var version: String?
    /// The folder of the interpreter that made the environment.
    private(set) var home: String?

    init(_ folder: String) {
        self.folder = folder
        let text = (try? String(contentsOfFile: folder + "/pyvenv.cfg", encoding: .utf8)) ?? ""
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            guard parts.count == 2 else { continue }
            switch parts[0].lowercased() {
            case "version", "version_info": version = version ?? parts[1]
            case "home": home = parts[1]
            default: break
            }
        }
    }

    /// Why this program cannot run in the environment; nil where it can.
    var problem: String? {
        let ours = "\(PY_MAJOR_VERSION).\(PY_MINOR_VERSION)"
        let isSameMinor = version.map { $0 == ours || $0.hasPrefix(ours + ".") } ?? true
        if isSameMinor, !isOfAnotherBuild { return nil }
        let running = String(cString: Py_GetVersion()).split(separator: " ").first ?? ""
        let found = (version ?? "of an unknown version") + (home.map { ", of \($0)" } ?? "")
        let library = Self.ownLibrary.map { ", with the standard library in \($0)" } ?? ""
        return
            "the active virtual environment \(folder) is Python \(found); this program has Python \(running) built in"
            + "\(library), and one cannot run the other's library. Run the script with the environment's own python3 (after "
            + "`pip install .`), make the environment with the Python this program was built with, or deactivate it"
    }

    /// Why this program cannot run with `PYTHONHOME`; nil where it can.
    static func problem(home: String) -> String? {
        guard let ours = ownLibrary, let theirs = library(near: home + "/bin"), ours != theirs else { return nil }
        return
            "PYTHONHOME is \(home); this program's Python has its standard library in \(ours), and cannot run the one in "
            + "\(theirs). Unset PYTHONHOME"
    }

    /// The interpreter of the installation that our libpython belongs to; nil where it is not found.
    static var ownInterpreter: String? {
        guard let library = ownLibrary else { return nil }
        let prefix = URL(fileURLWithPath: library).deletingLastPathComponent().deletingLastPathComponent().path
        return ["\(PY_MAJOR_VERSION).\(PY_MINOR_VERSION)", "\(PY_MAJOR_VERSION)"].map { "\(prefix)/bin/python\($0)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Whether the environment's standard library is another one than that of our libpython. False where either is not
    /// found where installations have it: then the version must do.
    private var isOfAnotherBuild: Bool {
        guard let home, let ours = Self.ownLibrary, let theirs = Self.library(near: home) else {
            let running = String(cString: Py_GetVersion()).split(separator: " ").first.map(String.init) ?? ""
            let exact = version.map { $0.split(separator: ".").prefix(3).joined(separator: ".") }
            return exact.map { $0.split(separator: ".").count == 3 && $0 != running } ?? false
        }
        return ours != theirs
    }

    /// The standard library beside the libpython that this process runs.
    private static let ownLibrary: String? = {
        // The last column of a line is the file that is mapped there.
        let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
        let file = maps.split(separator: "\n").lazy.compactMap { line in
            line.firstIndex(of: "/").map { String(line[$0...]) }
        }.first { URL(fileURLWithPath: $0).lastPathComponent.hasPrefix("libpython") }
        return file.flatMap { library(near: URL(fileURLWithPath: $0).deletingLastPathComponent().path) }
    }()

    /// The folder of the standard library that belongs to an installation's folder of programs or libraries.
    private static func library(near folder: String) -> String? {
        let name = "python\(PY_MAJOR_VERSION).\(PY_MINOR_VERSION)"
        // prefix/bin, prefix/lib, prefix/lib/x86_64-linux-gnu
        var prefix = URL(fileURLWithPath: folder, isDirectory: true)
        for _ in 0..<2 {
            prefix.deleteLastPathComponent()
            if let file = realpath(prefix.path + "/lib/" + name + "/os.py", nil) {
                defer { free(file) }
                return URL(fileURLWithPath: String(cString: file)).deletingLastPathComponent().path
            }
        }
        return nil
    }
}
