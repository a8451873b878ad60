import Foundation
import TestSupport

/// The built command, run as a user runs it.
enum Moescope {
    struct Result {
        let status: Int32
        let output: String
        let errors: String
        /// Lines of standard error that tell of an error.
        var errorLines: [String] { errors.split(separator: "\n").filter { $0.hasPrefix("Error:") }.map(String.init) }
    }

    /// The command lies beside the test bundle that this process was started from.
    private static let executable = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "moescope")

    static func run(
        _ arguments: String..., input: String = "", environment: [String: String] = [:]
    ) throws -> Result {
        try run(arguments: arguments, input: input, environment: environment)
    }

    /// The same, started by a line of shell that has the command as $0 and its arguments as $@.
    static func run(through shell: String, _ arguments: [String]) throws -> Result {
        try run(URL(filePath: "/bin/bash"), ["-c", shell, executable.path] + arguments)
    }

    static func run(
        arguments: [String], input: String = "", environment: [String: String] = [:]
    ) throws -> Result {
        try run(executable, arguments, input: input, environment: environment)
    }

    private static func run(
        _ program: URL, _ arguments: [String], input: String = "", environment: [String: String] = [:]
    ) throws -> Result {
        let process = Process()
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.executableURL = program
        process.arguments = arguments
        process.currentDirectoryURL = FileManager.default.temporaryDirectory
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let files = ["in", "out", "err"].map { folder.appending(path: $0) }
        try Data(input.utf8).write(to: files[0])
        for file in files[1...] { try Data().write(to: file) }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try process.run()
        process.waitUntilExit()
        return Result(
            status: process.terminationReason == .exit ? process.terminationStatus : -1,
            output: try String(contentsOf: files[1], encoding: .utf8),
            errors: try String(contentsOf: files[2], encoding: .utf8))
    }

    static func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "moescope-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}
