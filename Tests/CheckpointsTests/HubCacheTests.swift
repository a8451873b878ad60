import Checkpoints
import FileFormats
import Foundation
import Testing

/// Names on the Hub, looked for in a cache as huggingface_hub lays it out.
@Suite struct HubCacheTests {
    private let commit = "0123456789abcdef0123456789abcdef01234567"

    /// A cache with one model.
    private func cache() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let model = folder.path("models--someone--Tiny-MoE-v0.1")
        let snapshot = model.appending(path: "snapshots/\(commit)")
        for path in [snapshot, model.appending(path: "refs")] {
            try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
        }
        try TinyMixtral().write(to: snapshot)
        try commit.write(to: model.appending(path: "refs/main"), atomically: true, encoding: .utf8)
        return folder
    }

    @Test func aNameIsFoundInItsSnapshot() throws {
        let folder = try cache()
        for environment in [
            ["HF_HUB_CACHE": folder.url.path], ["HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": folder.url.path],
        ] {
            let found = try ModelLocator.resolve("someone/Tiny-MoE-v0.1", environment: environment)
            #expect(found.lastPathComponent == commit)
            #expect(try Checkpoint.open(found).name == "Tiny-MoE-v0.1")
        }
        let whole = try ModelLocator.resolve(
            folder.path("models--someone--Tiny-MoE-v0.1").path, environment: [:])
        #expect(whole.lastPathComponent == commit)
    }

    @Test(arguments: ["someone/Other", "someone/Other@v2"])
    func whatIsNotThereNamesTheCommandThatFetchesIt(name: String) throws {
        let folder = try cache()
        let error = #expect(throws: FileError.self) {
            try ModelLocator.resolve(name, environment: ["HF_HUB_CACHE": folder.url.path])
        }
        #expect(error?.reason == .missing)
        let revision = name.hasSuffix("@v2") ? " --revision v2" : ""
        #expect(error?.hint?.hasSuffix("hf download someone/Other\(revision)") == true)
    }

    /// No name on the Hub: a path, whose own error says what is missing.
    @Test(arguments: ["a", "./a/b", "/a/b", "a/b/c", "a/b.gguf", "-a/b", "a/", "a/b@", "ä/b"])
    func otherTextsArePaths(text: String) throws {
        #expect(
            try ModelLocator.resolve(text, environment: ["HF_HUB_CACHE": "/nowhere"]).path.hasSuffix(
                text.replacingOccurrences(of: "./", with: "").trimmingCharacters(in: ["/"])))
    }
}
