import Foundation
import TestSupport
import Testing

/// What programs and scripts that call the command rely on.
struct ScriptingTests {
    private let trace = Fixtures.folder.appending(path: "report/trace").path
    private let model = Fixtures.folder.appending(path: "parity/grouped").path

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    @Test(arguments: [
        (["trace", "polyglot", "--corups", "c.jsonl", "--output", "t"], "--corups", "--corpus"),
        (["report", "t", "--htlm=r.html"], "--htlm", "--html"),
        (["experiment", "ablation", "polyglot", "--corpus", "c", "--ouput", "o"], "--ouput", "--output"),
    ])
    func aMisspeltOptionIsNamedWithTheNearest(_ arguments: [String], _ found: String, _ nearest: String) throws {
        let result = try Moescope.run(arguments: arguments)
        #expect(result.status == 64 && result.output.isEmpty)
        #expect(result.errors.contains("Unknown option '\(found)'. Did you mean '\(nearest)'?"), "\(result.errors)")
    }

    @Test func aReportForPrograms() throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let (page, tables) = (folder.appending(path: "r.html").path, folder.appending(path: "csv").path)
        let result = try Moescope.run(
            "report", trace, "--html", page, "--csv", tables, "--json", "--bootstrap", "20", "--permutations", "199")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.hasPrefix("report: 0 % · 0/24 steps · counting\n"), "\(result.errors)")
        let json = try object(result.output)
        #expect(!result.output.contains("\\/"))
        let files = try #require(json["files"] as? [String: String])
        #expect(files == ["page": page, "tables": tables])
        #expect((json["groups"] as? Int) == 5)
        let findings = try #require(json["findings"] as? [[String: String]])
        #expect(findings.count == 4 && findings[2]["claim"]?.contains("have the same first expert") == true)
        let verdicts = try #require(json["verdicts"] as? [[String: String]])
        // The fixture's routing depends on the group, and it has no two sources of documents.
        #expect(verdicts.first { $0["rule"] == "dependence" }?["outcome"] == "found")
        #expect(verdicts.first { $0["rule"] == "replication" }?["outcome"] == "not_testable")
        #expect(try Moescope.run("report", trace, "--embed").errors.contains("--html"))
    }

    @Test func anExperimentForPrograms() throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let corpus = folder.appending(path: "c.jsonl")
        let lines = (0..<12).map {
            "{\"id\": \"\($0)\", \"group\": \"\($0 % 2 == 0 ? "a" : "b")\", \"tokens\": [1, \($0 + 2), 3, \($0 + 5)]}\n"
        }
        try Data(lines.joined().utf8).write(to: corpus)
        func run(_ name: String, _ option: String) throws -> String {
            let result = try Moescope.run(
                "experiment", "top-k", model, "--corpus", corpus.path, "--output", folder.appending(path: name).path,
                "--bootstrap", "20", option)
            #expect(result.status == 0, "\(result.errors)")
            return result.output
        }
        let json = try object(try run("json", "--json"))
        #expect(json["kind"] as? String == "top-k" && json["documents"] as? Int == 12 && json["tokens"] as? Int == 36)
        let files = try #require(json["files"] as? [String])
        #expect(files.contains("plan.json") && files.contains("effects.csv"))
        let csv = try run("csv", "--csv")
        #expect(csv.hasPrefix("# effects\narm,"), "\(csv.prefix(80))")
    }

    @Test func calibrationIsWrittenAsOtherJSON() throws {
        let result = try Moescope.run(
            "calibrate", "--traces", "1", "--scenario", "iid", "--permutations", "19", "--bootstrap", "19", "--json")
        #expect(result.status == 0 && result.output.contains("\"rates\"") && !result.output.contains("\\/"))
        _ = try object(result.output)
    }

    /// A field that looks like the group is named where there is but one group; nothing is said where there are several.
    @Test func aFieldThatLooksLikeTheGroupIsNamed() throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        func said(_ name: String, _ lines: String) throws -> String {
            let corpus = folder.appending(path: "\(name).jsonl")
            try Data(lines.utf8).write(to: corpus)
            let result = try Moescope.run(
                "trace", model, "--corpus", corpus.path, "--output", folder.appending(path: name).path,
                "--capture", "router_logits,attention_pattern:*")
            #expect(result.status == 0, "\(result.errors)")
            return result.errors
        }
        let one = try said(
            "one",
            "{\"tokens\": [1, 2, 3], \"lang\": \"de\"}\n{\"tokens\": [4, 5], \"lang\": \"fr\", \"label\": \"x\"}\n")
        #expect(
            one.contains(
                "one.jsonl: all documents are of one group, and the field \"lang\" has 2 values (de, fr): call it \"group\" to compare them"
            ), "\(one)")
        let several = try said(
            "several",
            "{\"tokens\": [1, 2], \"group\": \"a\", \"lang\": \"de\"}\n{\"tokens\": [4, 5], \"group\": \"b\", \"lang\": \"fr\"}\n"
        )
        #expect(!several.contains("call it"))
        #expect(try said("same", "{\"tokens\": [1, 2], \"lang\": \"de\"}\n").contains("call it") == false)
        // Every head of both layers, of both documents.
        let patterns = try Data(contentsOf: folder.appending(path: "one/attention/000000.safetensors"))
        let text = String(decoding: patterns.prefix(4096), as: UTF8.self)
        #expect(text.contains("document.1.layer.0.head.0") && text.contains("document.0.layer.1.head.3"))
    }
}
