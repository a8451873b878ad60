import Foundation
import TestSupport
import Testing

/// `moescope merge`, `split` and `subset`, as a user runs them.
struct TraceCopyCommandTests {
    let folder: URL

    init() throws { folder = try Moescope.temporaryFolder() }

    /// A trace of five documents in three groups; one group's name is no name of a folder.
    private func traced(_ name: String = "t") throws -> String {
        let corpus = folder.appending(path: "\(name).jsonl")
        let lines = [
            ("a", "en"), ("b", "de"), ("c", "en"), ("d", "x/../y"), ("e", "de"),
        ].enumerated().map {
            "{\"id\": \"\(name)-\($1.0)\", \"group\": \"\($1.1)\", \"tokens\": [1, 2, \($0 + 3)]}\n"
        }
        try Data(lines.joined().utf8).write(to: corpus)
        let output = folder.appending(path: name).path
        let result = try Moescope.run(
            "trace", Fixtures.folder.appending(path: "parity/grouped").path, "--corpus", corpus.path, "--output",
            output,
            "--precision", "exact")
        #expect(result.status == 0, "\(result.errors)")
        return output
    }

    private func path(_ name: String) -> String { folder.appending(path: name).path }

    private func ids(_ name: String) throws -> [String] {
        let text = try String(contentsOfFile: path("\(name)/documents.jsonl"), encoding: .utf8)
        return try text.split(separator: "\n").map {
            let line = try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
            return line?["id"] as? String ?? ""
        }
    }

    private func isSound(_ name: String) throws -> Bool { try Moescope.run("verify", path(name)).status == 0 }

    @Test func chosenCutAndJoined() throws {
        let trace = try traced()
        var result = try Moescope.run("subset", trace, "--groups", "en,de", "--first", "3", "--output", path("some"))
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.hasSuffix("some: complete, 3 documents, 9 tokens\n"))
        #expect(try ids("some") == ["t-a", "t-b", "t-c"])
        try Data("t-e\nt-a\n".utf8).write(to: folder.appending(path: "ids.txt"))
        _ = try Moescope.run("subset", trace, "--documents", "@\(path("ids.txt"))", "--output", path("named"))
        #expect(try ids("named") == ["t-a", "t-e"])

        result = try Moescope.run("split", trace, "--by-group", "--output", path("groups"))
        #expect(result.status == 0, "\(result.errors)")
        let names = try FileManager.default.contentsOfDirectory(atPath: path("groups")).sorted()
        #expect(names == ["de", "en", "x%2F..%2Fy"])
        result = try Moescope.run("split", trace, "--parts", "2", "--output", path("halves"))
        #expect(try ids("halves/0001") + ids("halves/0002") == ["t-a", "t-b", "t-c", "t-d", "t-e"])

        result = try Moescope.run("merge", path("halves/0001"), path("halves/0002"), "--output", path("joined"))
        #expect(result.status == 0, "\(result.errors)")
        for name in ["some", "named", "groups/de", "groups/x%2F..%2Fy", "halves/0002", "joined"] {
            #expect(try isSound(name), "\(name)")
        }
        // Shards and documents are the same bytes as those of the one trace.
        for file in ["shards/000000.safetensors", "documents.jsonl"] {
            #expect(
                try Data(contentsOf: URL(filePath: path("joined/\(file)")))
                    == Data(contentsOf: URL(filePath: "\(trace)/\(file)")))
        }
        let other = try traced("u")
        result = try Moescope.run("merge", trace, other, "--output", path("both"))
        #expect(try result.status == 0 && isSound("both") && ids("both").count == 10)
    }

    @Test func whatCannotBeDoneIsOneLine() throws {
        let trace = try traced()
        for (arguments, words) in [
            (
                ["subset", trace, "--groups", "fr", "--output", path("n")],
                "--groups: the trace has no group \"fr\"; it has de, en, x/../y"
            ),
            (
                ["subset", trace, "--documents", "t-z", "--output", path("n")],
                "--documents: the trace has no document \"t-z\""
            ),
            (["subset", trace, "--output", path("n")], "expected --groups, --documents or --first"),
            (
                ["split", trace, "--parts", "6", "--output", path("n")],
                "--parts: expected at most 5, the number of documents, found 6"
            ),
            (["split", trace, "--output", path("n")], "expected --by-group or --parts, one of them"),
            (["merge", trace, "--output", path("n")], "expected two traces or more, found 1"),
            (["merge", trace, trace, "--output", path("n")], "document \"t-a\": "),
            (["merge", trace, path("none"), "--output", path("n")], "none/manifest.json: "),
            (
                ["import", "x.csv", "--from", "vllm", "--output", path("n")],
                "--model: expected the model's config.json or a card"
            ),
            (
                ["export", trace, "--tables", "words", "--output", path("n")],
                "--tables: expected documents, tokens, routing, load, found \"words\""
            ),
        ] {
            let result = try Moescope.run(arguments: arguments)
            #expect(result.status != 0 && result.errorLines.count == 1, "\(arguments): \(result.errors)")
            #expect(result.errorLines.first?.contains(words) == true, "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: path("n")))
        }
    }

    @Test(arguments: ["merge", "split", "subset", "import", "export"]) func helpHasExamples(command: String) throws {
        let result = try Moescope.run(command, "--help")
        #expect(result.status == 0 && result.output.contains("moescope \(command) "))
    }

    /// Columns by other names, and a choice of documents, through Python.
    @Test func aCorpusInOtherColumns() throws {
        // The embedded Python has no packages of its own.
        guard let numpy = PythonPackages.file("numpy/__init__.py") else { return }
        let environment = [
            "VIRTUAL_ENV": String(numpy.pathComponents.prefix { $0 != "lib" }.joined(separator: "/").dropFirst())
        ]
        let file = folder.appending(path: "c.csv")
        try Data("key,body\nx,1\ny,2\nz,3\n".utf8).write(to: file)
        let lines = folder.appending(path: "c.jsonl")
        try Data("{\"key\": \"x\", \"tokens\": [1, 2]}\n{\"key\": \"y\", \"tokens\": [3]}\n".utf8).write(to: lines)
        let model = Fixtures.folder.appending(path: "parity/grouped").path
        var result = try Moescope.run(
            "trace", model, "--corpus", lines.path, "--id-column", "key", "--max-documents", "1", "--output", path("t"),
            environment: environment)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try ids("t") == ["x"])
        result = try Moescope.run(
            "trace", model, "--corpus", file.path, "--text-column", "txt", "--output", path("u"),
            environment: environment)
        #expect(result.status != 0 && result.errors.contains("c.csv: "), "\(result.errors)")
        #expect(result.errors.contains("there is no column 'txt'; columns: key, body"))
    }
}
