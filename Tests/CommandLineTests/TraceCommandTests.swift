import Checkpoints
import FileFormats
import Foundation
import TestSupport
import Testing

struct TraceCommandTests {
    let folder: URL
    let model = Fixtures.folder.appending(path: "parity/grouped")

    init() throws { folder = try Moescope.temporaryFolder() }

    private func corpus(_ text: String) throws -> String {
        let file = folder.appending(path: "corpus.jsonl")
        try Data(text.utf8).write(to: file)
        return file.path
    }

    private let good = """
        {"id": "a", "group": "en", "tokens": [1, 2, 3, 4]}
        {"id": "b", "group": "de", "tokens": [5, 6, 7], "parallel_id": "x"}

        """

    private func manifest(_ name: String) throws -> [String: Any] {
        let data = try Data(contentsOf: folder.appending(path: "\(name)/manifest.json"))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    @Test func tracesTokensAndFinishes() throws {
        let trace = folder.appending(path: "t").path
        let result = try Moescope.run(
            "trace", model.path, "--corpus", try corpus(good), "--output", trace, "--capture",
            "router_logits,attention_summary,attention_pattern:1.*", "--precision", "exact")
        #expect(result.status == 0, "\(result.errors)")
        let written = try manifest("t")
        #expect(written["status"] as? String == "complete")
        let shard = try SafetensorsFile(folder.appending(path: "t/shards/000000.safetensors"))
        #expect(shard["router_logits"]?.shape == [2, 7, 8])
        #expect(shard["attention_entropy"]?.shape == [2, 4, 7])
        let patterns = try SafetensorsFile(folder.appending(path: "t/attention/000000.safetensors"))
        #expect(patterns["document.1.layer.1.head.3"]?.shape == [3, 3])
    }

    @Test func resumedIsTheSameAsUninterrupted() throws {
        let lines = (0..<12).map {
            "{\"id\": \"\($0)\", \"tokens\": [\((0...$0 + 3).map { "\($0)" }.joined(separator: ","))]}\n"
        }
        let file = try corpus(lines.joined())
        let whole = folder.appending(path: "whole")
        let halves = folder.appending(path: "halves")
        for name in [whole.path, halves.path] {
            let result = try Moescope.run(
                "trace", model.path, "--corpus", file, "--output", name, "--wave-tokens", "20")
            #expect(result.status == 0, "\(result.errors)")
        }
        // What a crash after two shards leaves: the manifest of that moment, and files it does not list yet.
        let manifestFile = halves.appending(path: "manifest.json")
        let data = try Data(contentsOf: manifestFile)
        var content = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        content["status"] = "partial"
        content["shards"] = Array(try #require(content["shards"] as? [Any]).prefix(2))
        // The hashes are those of the whole trace.
        for field in ["files", "manifest_sha256"] { content[field] = nil }
        try JSONSerialization.data(withJSONObject: content).write(to: manifestFile)
        let again = try Moescope.run(
            "trace", model.path, "--corpus", file, "--output", halves.path, "--wave-tokens", "20", "--resume")
        #expect(again.status == 0, "\(again.errors)")
        let shards = try FileManager.default.contentsOfDirectory(atPath: whole.appending(path: "shards").path)
        #expect(shards.count > 2)
        for name in shards.map({ "shards/\($0)" }) + ["documents.jsonl"] {
            #expect(
                try Data(contentsOf: whole.appending(path: name)) == Data(contentsOf: halves.appending(path: name)),
                "\(name)")
        }
    }

    /// The same weights under another config are another model.
    @Test func anotherConfigIsNotContinued() throws {
        let file = try corpus((0..<4).map { "{\"id\": \"\($0)\", \"tokens\": [1, 2, 3]}\n" }.joined())
        let trace = folder.appending(path: "theta").path
        let copy = try broken { _ in }
        func run(_ options: String...) throws -> Moescope.Result {
            try Moescope.run(arguments: ["trace", copy, "--corpus", file, "--output", trace] + options)
        }
        #expect(try run().status == 0)
        #expect(try run("--resume").status == 0)
        let config = URL(filePath: copy).appending(path: "config.json")
        let text = try String(contentsOf: config, encoding: .utf8)
        let theta = try #require(text.firstMatch(of: /"rope_theta": *[0-9.e+]+/)?.output)
        try Data(text.replacing(theta, with: "\"rope_theta\": 12345.0").utf8).write(to: config)
        let other = try run("--resume")
        #expect(other.status == 1)
        #expect(
            other.errors.contains("manifest.json: field model.config.attention.rotary.theta: expected 12345"),
            "\(other.errors)")
        try Data(text.utf8).write(to: config)
        let shorter = try run("--resume", "--max-tokens", "2")
        #expect(shorter.status == 1 && shorter.errors.contains("field corpus.tokens: expected 8, found 12"))
    }

    @Test(arguments: [
        ("{\"id\": \"a\", \"tokens\": [1]}\nnot json\n", ["line 2", "JSON"]),
        ("{\"id\": \"a\"}\n", ["line 1", "text", "tokens"]),
        ("{\"id\": \"a\", \"tokens\": [1, 131]}\n", ["tokens", "131", "130"]),
        ("{\"id\": \"a\", \"tokens\": [\"x\"]}\n", ["line 1", "tokens"]),
        ("{\"id\": \"a\", \"text\": \"hello\"}\n", ["text", "no tokenizer"]),
        ("[1]\n", ["line 1", "JSON object"]),
        ("\n", ["no document"]),
    ])
    func badCorpus(text: String, words: [String]) throws {
        let trace = folder.appending(path: "bad")
        let result = try Moescope.run("trace", model.path, "--corpus", try corpus(text), "--output", trace.path)
        #expect(result.status != 0)
        #expect(result.errorLines.count == 1, "\(result.errors)")
        for word in words { #expect(result.errors.contains(word), "\(result.errors)") }
        #expect(!FileManager.default.fileExists(atPath: trace.appending(path: "manifest.json").path))
    }

    /// A copy of the fixture's checkpoint with one thing wrong.
    private func broken(_ change: (URL) throws -> Void) throws -> String {
        let copy = folder.appending(path: "model")
        try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
        for name in ["config.json", "model.safetensors"] {
            try FileManager.default.copyItem(at: model.appending(path: name), to: copy.appending(path: name))
        }
        try change(copy)
        return copy.path
    }

    private func expectError(_ model: String, mentions words: [String]) throws {
        let trace = folder.appending(path: "never")
        let result = try Moescope.run("trace", model, "--corpus", try corpus(good), "--output", trace.path)
        #expect(result.status != 0)
        #expect(result.errorLines.count == 1, "\(result.errors)")
        for word in words { #expect(result.errors.contains(word), "expected \(word) in: \(result.errors)") }
        #expect(!FileManager.default.fileExists(atPath: trace.appending(path: "manifest.json").path))
    }

    @Test func aConfigWithoutExperts() throws {
        let model = try broken { folder in
            let file = folder.appending(path: "config.json")
            let text = try String(contentsOf: file, encoding: .utf8)
            try Data(text.replacing("num_local_experts", with: "num_experts_of_mine").utf8).write(to: file)
        }
        try expectError(model, mentions: ["config.json", "num_local_experts"])
    }

    @Test func aTruncatedFile() throws {
        let model = try broken { folder in
            let file = folder.appending(path: "model.safetensors")
            try Data(contentsOf: file).dropLast(1000).write(to: file)
        }
        try expectError(model, mentions: ["model.safetensors"])
    }

    @Test func aMissingTensor() throws {
        let model = try broken { try rewrite($0) { $0.filter { $0.name != "model.norm.weight" } } }
        try expectError(model, mentions: ["model.norm.weight"])
    }

    @Test func aWrongShape() throws {
        let model = try broken { folder in
            let file = folder.appending(path: "config.json")
            let text = try String(contentsOf: file, encoding: .utf8)
            try Data(text.replacing("\"intermediate_size\": 24", with: "\"intermediate_size\": 25").utf8).write(
                to: file)
        }
        try expectError(model, mentions: ["25", "24"])
    }

    private func rewrite(_ folder: URL, _ keep: ([SafetensorsFile.Entry]) -> [SafetensorsFile.Entry]) throws {
        let file = folder.appending(path: "model.safetensors")
        let tensors = try SafetensorsFile(model.appending(path: "model.safetensors")).tensors
        _ = try SafetensorsFile.write(keep(tensors.map { SafetensorsFile.Entry($0) }), to: file)
    }

    @Test func aFolderThatCannotBeWritten() throws {
        let file = folder.appending(path: "file")
        try Data().write(to: file)
        let result = try Moescope.run(
            "trace", model.path, "--corpus", try corpus(good), "--output", file.appending(path: "trace").path)
        #expect(result.status != 0)
        #expect(result.errorLines.count == 1 && result.errors.contains(file.path), "\(result.errors)")
    }

    @Test func anExistingTraceIsNotOverwritten() throws {
        let trace = folder.appending(path: "twice").path
        let file = try corpus(good)
        #expect(try Moescope.run("trace", model.path, "--corpus", file, "--output", trace).status == 0)
        let before = try Data(contentsOf: folder.appending(path: "twice/manifest.json"))
        #expect(try Moescope.run("trace", model.path, "--corpus", file, "--output", trace).status != 0)
        #expect(try Data(contentsOf: folder.appending(path: "twice/manifest.json")) == before)
    }

    /// Weights that are no numbers are named, and nothing is called a trace.
    @Test(arguments: [
        "model.embed_tokens.weight", "model.layers.1.block_sparse_moe.experts.2.w2.weight", "lm_head.weight",
    ])
    func weightsThatAreNoNumbers(_ name: String) throws {
        let model = try broken { folder in
            try rewrite(folder) { entries in
                entries.map { entry in
                    guard entry.name == name else { return entry }
                    var values = [Float](repeating: 0.01, count: entry.shape.reduce(1, *))
                    values[values.count - 1] = .nan
                    // Of an embedding every row, so that whatever is read has one.
                    for row in stride(from: 31, to: values.count, by: 32) { values[row] = .nan }
                    return .init(name: name, dtype: .f32, shape: entry.shape, values: values)
                }
            }
        }
        let trace = folder.appending(path: "nan")
        // Enough tokens that every expert gets some.
        let tokens = (0..<100).map { "\($0)" }.joined(separator: ", ")
        let result = try Moescope.run(
            "trace", model, "--corpus", try corpus("{\"id\": \"a\", \"tokens\": [\(tokens)]}\n"), "--output", trace.path
        )
        #expect(result.status != 0)
        #expect(result.errorLines.count == 1, "\(result.errors)")
        #expect(result.errors.contains(model) && result.errors.contains("tensor \(name)"), "\(result.errors)")
        #expect(try manifest("nan")["status"] as? String == "partial")
        let file = folder.appending(path: "nan.gguf").path
        for type in ["Q8_0", "F32"] {
            let quantized = try Moescope.run("quantize", model, "--type", type, "--output", file)
            #expect(
                quantized.errorLines.count == 1 && quantized.errors.contains("tensor \(name)"), "\(quantized.errors)")
            #expect(!FileManager.default.fileExists(atPath: file))
        }
    }

    @Test func anAbsentShard() throws {
        let model = try broken { folder in
            let single = folder.appending(path: "model.safetensors")
            let names = try SafetensorsFile(single).tensors.map {
                "\"\($0.name)\": \"model-00001-of-00002.safetensors\""
            }
            try FileManager.default.removeItem(at: single)
            try Data("{\"weight_map\": {\(names.joined(separator: ", "))}}".utf8).write(
                to: folder.appending(path: "model.safetensors.index.json"))
        }
        try expectError(model, mentions: ["model-00001-of-00002.safetensors", "model.safetensors.index.json"])
    }

    @Test(arguments: [
        (["--threads", "100000"], "threads"), (["--layers", "0-999999999999"], "--layers"),
        (["--layers", "99"], "0 to 1"),
        (["--wave-tokens", "0"], "--wave-tokens"),
    ])
    func numbersOutOfRange(options: [String], word: String) throws {
        let trace = folder.appending(path: "range")
        let result = try Moescope.run(
            arguments: ["trace", model.path, "--corpus", try corpus(good), "--output", trace.path] + options)
        #expect(result.status > 0 && result.errorLines.count == 1, "\(result.errors)")
        #expect(result.errors.contains(word), "\(result.errors)")
    }

    @Test func captureNamesAreChecked() throws {
        for (capture, word) in [
            ("routing", "router_logits"), ("attention_pattern:9.0", "0 to 1"), ("attention_pattern:3", "LAYER.HEAD"),
        ] {
            let result = try Moescope.run(
                "trace", model.path, "--corpus", try corpus(good), "--output", folder.appending(path: "x").path,
                "--capture", capture)
            #expect(result.status != 0 && result.errors.contains(word), "\(result.errors)")
        }
    }
}
