import ArgumentParser
import FileFormats
import Foundation
import ReportGenerator
import Traces

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read a trace to its last byte and name what is wrong with it.",
        discussion: """
            Checks hashes, types, shapes and values of every file against the manifest, and the manifest against its own hash; fields \
            that nobody knows are problems too. Exit code 0: sound; 1: not.

            Every byte is read, each time. Other commands check hashes as well, but hash a shard once for as long as its size, times and \
            inode stay the same; what they know of it lies in ~/.cache/moescope (or $XDG_CACHE_HOME/moescope).

            Example:
              moescope verify traces/demo
              moescope verify traces/demo --json | jq .is_sound
            """)

    @Argument(help: "The trace's folder.")
    var trace: String

    @Flag(help: "The result as one JSON object.")
    var json = false

    private struct Result: Encodable {
        var trace: String
        var isSound: Bool
        var problems: [String]
        var status: String?
        var documents: Int?
        var tokens: Int?
        var shards: Int?
    }

    func run() throws {
        let url = URL(filePath: trace)
        let problems = try Trace.verify(url).map { "\($0)" }
        let manifest = problems.isEmpty ? try Trace(folder: url).manifest : nil
        if json {
            let result = Result(
                trace: trace, isSound: problems.isEmpty, problems: problems, status: manifest?.status.rawValue,
                documents: manifest?.documents, tokens: manifest?.tokens, shards: manifest?.shards.count)
            try print(result.prettyJSON(keys: .convertToSnakeCase))
        }
        guard let manifest else {
            if !json {
                for problem in problems { say(problem) }
                say("\(trace): \(Prose.plural(problems.count, "problem"))")
            }
            throw ExitCode.failure
        }
        if json { return }
        try print(
            "\(trace): sound; \(manifest.status.rawValue), \(Prose.count(manifest.documents)) of \(Prose.plural(manifest.corpus.documents, "document")), "
                + "\(Prose.plural(manifest.tokens, "token")) in \(Prose.plural(manifest.shards.count, "shard"))")
    }
}
