import FileFormats
import Foundation

/// Turns what a user calls a model into a path: a path stays one; `polyglot`, the built-in model, is found wherever
/// this program was built or installed; `mistralai/Mixtral-8x7B-v0.1` is looked for in this machine's Hugging Face cache.
public enum ModelLocator {
    /// Models that come with the program.
    public static let builtIn = ["polyglot"]

    /// - Parameters:
    ///   - model: a path, a name in `builtIn`, a name on the Hub, or a model's folder in a Hugging Face cache (`models--…`). A
    ///     path goes before a name.
    ///   - environment: `MOESCOPE_MODELS` is a colon-separated list of folders searched first; `HF_HUB_CACHE` and `HF_HOME` say
    ///     where the Hugging Face cache is.
    /// - Throws: `missing`, listing where it looked, and what fetches the model. Nothing is downloaded.
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
            return try inCache(model, environment: environment)
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

    /// A path, looked through where it is a folder of a Hugging Face cache; or what a name on the Hub stands for.
    private static func inCache(_ model: String, environment: [String: String]) throws(FileError) -> URL {
        let path = URL(fileURLWithPath: model)
        if FileManager.default.fileExists(atPath: model) {
            guard let name = HubName(folder: path.standardizedFileURL.lastPathComponent),
                FileManager.default.fileExists(atPath: path.appendingPathComponent("snapshots").path)
            else { return path }
            return try HubCache.snapshot(of: path, name)
        }
        guard let name = HubName(model) else { return path }
        return try HubCache(environment: environment).model(name)
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
