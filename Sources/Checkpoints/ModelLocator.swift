import FileFormats
import Foundation

/// Turns what a user calls a model into a path: a path stays one; `polyglot`, the built-in model, is found wherever
/// this program was built or installed.
public enum ModelLocator {
    /// Models that come with the program.
    public static let builtIn = ["polyglot"]

    /// - Parameters:
    ///   - model: a path, or a name in `builtIn`.
    ///   - environment: `MOESCOPE_MODELS` is a colon-separated list of folders searched first.
    /// - Throws: `missing`, listing where it looked.
    public static func resolve(
        _ model: String, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(FileError) -> URL {
        guard builtIn.contains(model) else {
            if ModelCard.named(model) != nil, !FileManager.default.fileExists(atPath: model) {
                throw FileError(
                    .missing, file: model, problem: "this name stands for a card without weights",
                    expected: "a Hugging Face folder or a .gguf file",
                    hint: "inspect and memory take the name; everything else needs the weights")
            }
            return URL(fileURLWithPath: model)
        }
        let candidates = folders(environment: environment).map { $0.appendingPathComponent(model) }
        for candidate in candidates
        where FileManager.default.fileExists(atPath: candidate.appendingPathComponent("config.json").path) {
            return candidate
        }
        throw FileError(
            .missing, file: model, problem: "the built-in model was not found in \(candidates.map(\.path))",
            hint: "set MOESCOPE_MODELS to the folder that holds it")
    }

    /// Where built-in models may be, best first: the environment's folders; `share/moescope/Models` beside an
    /// installed `bin`; `Models` beside the
    /// program or library, in any folder above it (a build inside the repository), or above the working folder.
    static func folders(environment: [String: String]) -> [URL] {
        var result = (environment["MOESCOPE_MODELS"] ?? "").split(separator: ":").map {
            URL(fileURLWithPath: String($0))
        }
        result.append(ProgramFolder.url.deletingLastPathComponent().appending(path: "share/moescope/Models"))
        result += ProgramFolder.withParentsAndWorkingFolder.map { $0.appending(path: "Models") }
        return result
    }
}
