import FileFormats
import Foundation

/// The Hugging Face cache of this machine: where `hf download` puts models. It is read, and nothing is ever downloaded.
///
/// A model lies in `models--ORGANIZATION--NAME`: `refs/main` holds the name of a folder in `snapshots`, whose files are links.
struct HubCache {
    /// The folder that holds `models--…`.
    let folder: URL

    /// - Parameter environment: the variables of `huggingface_hub`: `HF_HUB_CACHE` (once `HUGGINGFACE_HUB_CACHE`), else `HF_HOME`,
    ///   else `XDG_CACHE_HOME`, else the home folder's `.cache`.
    init(environment: [String: String]) {
        func variable(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : ($0 as NSString).expandingTildeInPath }
        }
        let home = environment["HOME"] ?? NSHomeDirectory()
        let path =
            variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE") ?? variable("HF_HOME").map { $0 + "/hub" }
            ?? (variable("XDG_CACHE_HOME") ?? home + "/.cache") + "/huggingface/hub"
        folder = URL(fileURLWithPath: path, isDirectory: true)
    }

    /// The model that a name stands for.
    /// - Throws: `missing` where the cache does not hold it, with the command that fetches it.
    func model(_ name: HubName) throws(FileError) -> URL {
        let model = folder.appendingPathComponent(name.folder)
        guard FileManager.default.fileExists(atPath: model.path) else {
            throw FileError(
                .missing, file: name.text,
                problem:
                    "no such file or folder, and the Hugging Face cache (\(folder.path)) holds no model of this name",
                hint: "check the path, or fetch the model: \(name.downloading)")
        }
        return try Self.snapshot(of: model, name)
    }

    /// The files of a model's folder in a cache: of a snapshot, or its one GGUF file where it is no Hugging Face folder.
    static func snapshot(of model: URL, _ name: HubName) throws(FileError) -> URL {
        let snapshots = model.appendingPathComponent("snapshots")
        let revision = name.revision ?? "main"
        let all = ((try? FileManager.default.contentsOfDirectory(atPath: snapshots.path)) ?? []).sorted()
        let reference = try? String(
            contentsOf: model.appendingPathComponent("refs").appendingPathComponent(revision), encoding: .utf8)
        let named = reference?.trimmingCharacters(in: .whitespacesAndNewlines) ?? revision
        // Fetched by the name of a commit, a model has no `refs/main`.
        let only = name.revision == nil && all.count == 1 ? all.first : nil
        guard let chosen = all.contains(named) ? named : only else {
            let there =
                all.isEmpty ? "the model was not fetched to its end" : "there are \(all.joined(separator: ", "))"
            throw FileError(
                .missing, file: model.path, problem: "snapshots holds no revision \(revision): \(there)",
                hint: all.isEmpty || name.revision != nil
                    ? "fetch it: \(name.downloading)" : "name one: \(name.repository)@\(all[0])")
        }
        return try file(in: snapshots.appendingPathComponent(chosen), name)
    }

    private static func file(in snapshot: URL, _ name: HubName) throws(FileError) -> URL {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: snapshot.path)) ?? []).sorted()
        let files = names.filter { $0.hasSuffix(".gguf") }
        let hasWeights = names.contains { $0.hasSuffix(".safetensors") }
        // A config alone is enough to ask for the memory that a model needs.
        if names.contains("config.json"), hasWeights || files.isEmpty { return snapshot }
        // Of a file in several parts, the first stands for all.
        let firsts = files.filter {
            $0.range(of: "-[0-9]{5}-of-[0-9]{5}\\.gguf$", options: .regularExpression) == nil
                || $0.contains("-00001-of-")
        }
        guard firsts.count == 1 else {
            throw FileError(
                .missing, file: snapshot.path, expected: "config.json with its weights, or one .gguf file",
                found: firsts.isEmpty ? "neither" : firsts.joined(separator: ", "),
                hint: firsts.isEmpty
                    ? "fetch the whole model: \(name.downloading)"
                    : "name one: \(snapshot.appendingPathComponent(firsts[0]).path)")
        }
        return snapshot.appendingPathComponent(firsts[0])
    }
}

/// What a model is called on the Hub: `mistralai/Mixtral-8x7B-v0.1`, of another revision `mistralai/Mixtral-8x7B-v0.1@REVISION`.
struct HubName: Equatable {
    let organization: String
    let name: String
    let revision: String?

    /// nil for a text that cannot be such a name.
    init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        let names = parts[0].split(separator: "/", omittingEmptySubsequences: false)
        guard names.count == 2, names.allSatisfy(Self.isName), parts.count == 1 || !parts[1].isEmpty,
            !["gguf", "json", "safetensors"].contains(URL(fileURLWithPath: text).pathExtension)
        else { return nil }
        (organization, name) = (String(names[0]), String(names[1]))
        revision = parts.count == 2 ? String(parts[1]) : nil
    }

    /// The model of a folder `models--ORGANIZATION--NAME`; nil for other folders.
    init?(folder: String) {
        let parts = folder.components(separatedBy: "--")
        guard parts.count >= 3, parts[0] == "models" else { return nil }
        self.init(parts[1] + "/" + parts[2...].joined(separator: "--"))
    }

    /// Letters, digits, and `-`, `_`, `.` after the first.
    private static func isName(_ text: Substring) -> Bool {
        guard let first = text.first, text.count <= 96, first.isASCII, first.isLetter || first.isNumber else {
            return false
        }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
    }

    var repository: String { "\(organization)/\(name)" }
    var text: String { repository + (revision.map { "@" + $0 } ?? "") }
    var folder: String { "models--\(organization)--\(name)" }
    /// The command that fetches it.
    var downloading: String { "hf download \(repository)" + (revision.map { " --revision " + $0 } ?? "") }

    /// The model that a folder of `snapshots` belongs to; nil for other folders.
    static func around(_ folder: URL) -> HubName? {
        let parts = folder.standardizedFileURL.pathComponents
        guard let place = parts.lastIndex(of: "snapshots"), place > 0, place + 2 == parts.count else { return nil }
        return HubName(folder: parts[place - 1])
    }
}
