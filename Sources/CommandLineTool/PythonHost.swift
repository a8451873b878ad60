import FileFormats
import Foundation
import Synchronization

/// The Python that scripts, prompts and chat templates run in: built into the program, or the one that has loaded this library.
package struct PythonHost: Sendable {
    /// Whether the interpreter is inside this program, whose options are then also python3's (`moescope -c …`): so multiprocessing
    /// starts its workers.
    let isEmbedded: Bool
    /// Starts a process of that Python: the program, and what comes before a script.
    let program: URL
    let prefix: [String]
    /// Runs python3's main program with these arguments, without the program's name, and returns its exit code.
    let run: @Sendable ([String]) throws -> Int32

    package init(
        isEmbedded: Bool, program: URL, prefix: [String], run: @escaping @Sendable ([String]) throws -> Int32
    ) {
        self.isEmbedded = isEmbedded
        self.program = program
        self.prefix = prefix
        self.run = run
    }

    private static let held = Mutex<PythonHost?>(nil)

    /// The one of this process, once its command line has begun.
    package static var current: PythonHost? {
        get { held.withLock { $0 } }
        set { held.withLock { $0 = newValue } }
    }

    /// As `run` of the current one.
    static func run(_ arguments: [String]) throws -> Int32 {
        guard let current else { throw CocoaError(.featureUnsupported) }
        return try current.run(arguments)
    }

    /// Whether the first argument asks for our help, not the script's.
    static func asksForHelp(_ arguments: [String]) -> Bool { ["-h", "--help"].contains(arguments.first) }

    /// The arguments for python3 where this program is started as `moescope -c …` or `-m …`, with other options of
    /// python3 before them. nil for everything else.
    func interpreterArguments(_ commandLine: [String]) -> [String]? {
        guard isEmbedded, let first = commandLine.dropFirst().first, first.hasPrefix("-"), first != "-h",
            first.dropFirst().first.map({ $0.isASCII && $0.isLetter }) ?? false,
            commandLine.contains("-c") || commandLine.contains("-m")
        else { return nil }
        return Array(commandLine.dropFirst())
    }

    /// The folder that holds the Python package `moescope`: the environment's `MOESCOPE_PYTHON`, where this library was installed
    /// in it, beside an installed program, or in the checkout that the program was built in. nil where there is none.
    package static var package: URL? {
        let environment = ProcessInfo.processInfo.environment
        if let given = environment["MOESCOPE_PYTHON"], !given.isEmpty { return URL(filePath: given) }
        let folder = ProgramFolder.url.deletingLastPathComponent()
        let candidates =
            [folder, folder.appending(path: "share/moescope/Python")]
            + ProgramFolder.withParents.map { $0.appending(path: "Python") }
        return candidates.first {
            FileManager.default.fileExists(atPath: $0.appending(path: "moescope/__init__.py").path)
        }
    }
}
