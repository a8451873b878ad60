import ArgumentParser
import FileFormats
import Foundation

/// Commands that read and write other programs' files do it in Python, where the readers and writers of these files are.
enum PythonPart {
    /// Runs a module of the package `moescope` with one argument, and ends the command with its exit code.
    /// - Throws: the exit code, where it is not 0.
    static func run(_ module: String, _ request: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let text = String(decoding: try encoder.encode(request), as: UTF8.self)
        let code = try PythonHost.run(["-m", "moescope.\(module)", text])
        guard code == 0 else { throw ExitCode(code) }
    }
}
