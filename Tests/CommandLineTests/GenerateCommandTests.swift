import Checkpoints
import FileFormats
import Foundation
import TestSupport
import Testing

struct GenerateCommandTests {
    let folder: URL

    init() throws { folder = try Moescope.temporaryFolder() }

    private func objects(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    private func object(_ result: Moescope.Result) throws -> [String: Any] {
        #expect(result.status == 0, "\(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    }

    @Test func stopsWithinTheText() throws {
        let prompt = "Der Rauch steigt"
        let whole = try object(
            Moescope.run("generate", "polyglot", "--prompt", prompt, "--max-tokens", "24", "--json"))
        let text = try #require(whole["text"] as? String)
        #expect(whole["stopped_by"] as? String == "max_tokens" && (whole["tokens"] as? [Int])?.count == 24)
        // A stop text that begins and ends inside tokens.
        let start = text.index(text.startIndex, offsetBy: text.count / 2)
        let stop = String(text[start...].prefix(5))
        let cut = try object(
            Moescope.run(
                "generate", "polyglot", "--prompt", prompt, "--max-tokens", "24", "--json", "--stop", stop, "--stop",
                "never there"))
        #expect(cut["stopped_by"] as? String == "stop")
        #expect(cut["text"] as? String == String(text.prefix(upTo: try #require(text.range(of: stop)).lowerBound)))
        let plain = try Moescope.run("generate", "polyglot", "--prompt", prompt, "--max-tokens", "24")
        #expect(plain.output == prompt + text + "\n")
    }

    @Test func recordsWhatItGenerates() throws {
        let corpus = folder.appending(path: "c.jsonl")
        let lines = ["de": "Der Rauch steigt", "en": "The smoke rises"].flatMap { group, text in
            (0..<5).map { "{\"id\": \"\(group)-\($0)\", \"group\": \"\(group)\", \"text\": \"\($0) \(text)\"}" }
        }
        try Data(lines.joined(separator: "\n").utf8).write(to: corpus)
        let trace = folder.appending(path: "t")
        let result = try Moescope.run(
            "generate", "polyglot", "--corpus", corpus.path, "--max-tokens", "6", "--trace", trace.path)
        #expect(result.status == 0, "\(result.errors)")
        let answers = try objects(result.output)
        #expect(answers.count == 10)
        #expect(try Moescope.run("verify", trace.path).status == 0)

        let documents = try objects(try String(contentsOf: trace.appending(path: "documents.jsonl"), encoding: .utf8))
        var generated = 0
        for (document, answer) in zip(documents, answers) {
            let count = try #require(answer["tokens"] as? [Int]).count
            let read = try #require(answer["prompt_tokens"] as? Int)
            #expect(document["prompt_tokens"] as? Int == read && document["tokens"] as? Int == read + count)
            generated += count
        }
        // Tokens of each kind, as metrics count them.
        func tokens(_ positions: String) throws -> Int {
            let result = try Moescope.run("metrics", trace.path, "load", "--json", "--positions", positions)
            let sample = try #require(try object(result)["sample"] as? [String: Any])
            return try #require(sample["tokens"] as? Int)
        }
        let (prompts, answersOnly, all) = (try tokens("prompt"), try tokens("generated"), try tokens("all"))
        #expect(answersOnly == generated && prompts + answersOnly == all)

        // The same tokens read at once route the same, and are as probable.
        let again = folder.appending(path: "again.jsonl")
        let shard = try SafetensorsFile(trace.appending(path: "shards/000000.safetensors"))
        let ids = try #require(shard["token"]).bytes.bindMemory(to: Int32.self)
        var first = 0
        var text = ""
        for document in documents {
            let count = try #require(document["tokens"] as? Int)
            text += "{\"id\": \"\(document["id"] ?? "")\", \"tokens\": \(Array(ids[first..<first + count]))}\n"
            first += count
        }
        try Data(text.utf8).write(to: again)
        let whole = folder.appending(path: "whole")
        let traced = try Moescope.run("trace", "polyglot", "--corpus", again.path, "--output", whole.path)
        #expect(traced.status == 0, "\(traced.errors)")
        let other = try SafetensorsFile(whole.appending(path: "shards/000000.safetensors"))
        for (name, limit) in [("logprob", Float(0.1)), ("router_logits", Float(0.5))] {
            let a = try #require(shard[name]).bytes.bindMemory(to: Float.self)
            let b = try #require(other[name]).bytes.bindMemory(to: Float.self)
            #expect(a.count == b.count)
            for (x, y) in zip(a, b) { #expect(x.isNaN ? y.isNaN : abs(x - y) < limit, "\(name)") }
        }
    }

    /// Turn by turn: the second turn reads only what is new.
    @Test func conversationReusesWhatWasRead() throws {
        let result = try Moescope.run(
            "generate", "polyglot", "--chat", "--json", "--max-tokens", "5", input: "Der Rauch\nThe smoke\n")
        #expect(result.status == 0, "\(result.errors)")
        let turns = try objects(result.output)
        #expect(turns.count == 2)
        let first = try #require(turns[0]["prompt_tokens"] as? Int)
        let answer = try #require(turns[0]["tokens"] as? [Int]).count
        #expect(turns[1]["reused_tokens"] as? Int == first + answer)
    }

    /// A checkpoint with a chat template of its own, rendered by the built-in Python.
    @Test func templateOfTheModel() throws {
        guard let jinja = PythonPackages.file("jinja2/__init__.py") else { return }
        let environment = jinja.pathComponents.prefix { $0 != "lib" }.joined(separator: "/").dropFirst()
        let model = folder.appending(path: "model")
        try FileManager.default.createDirectory(at: model, withIntermediateDirectories: true)
        let fixture = Fixtures.folder.appending(path: "parity/grouped")
        try FileManager.default.copyItem(
            at: fixture.appending(path: "model.safetensors"), to: model.appending(path: "model.safetensors"))
        let config = try String(contentsOf: fixture.appending(path: "config.json"), encoding: .utf8)
        try Data(config.utf8).write(to: model.appending(path: "config.json"))
        // 131 ids: bytes 0 to 127 as characters, and three control tokens.
        let pieces = (0..<128).map { "\"\(Self.byteLevel($0))\": \($0)" }.joined(separator: ",")
        let added = ["<|im_start|>", "<|im_end|>", "</s>"].enumerated().map {
            """
            {"id": \(128 + $0), "content": "\($1)", "special": true, "single_word": false, "lstrip": false, \
            "rstrip": false, "normalized": false}
            """
        }
        let tokenizer = """
            {"added_tokens": [\(added.joined(separator: ","))], "model": {"type": "BPE", "vocab": {\(pieces)}, \
            "merges": []}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, \
            "decoder": {"type": "ByteLevel"}}
            """
        try Data(tokenizer.utf8).write(to: model.appending(path: "tokenizer.json"))
        struct Templates: Decodable { let template: String }
        let template = try JSONDecoder().decode(
            Templates.self, from: Data(contentsOf: Fixtures.folder.appending(path: "chat/templates.json")))
        try JSONEncoder().encode(["chat_template": template.template, "bos_token": "</s>"]).write(
            to: model.appending(path: "tokenizer_config.json"))

        let trace = folder.appending(path: "chat")
        let result = try Moescope.run(
            "generate", model.path, "--chat", "--system", "s", "--prompt", "h<|im_end|>i", "--json", "--max-tokens",
            "2", "--trace", trace.path, environment: ["VIRTUAL_ENV": String(environment)])
        #expect(result.status == 0, "\(result.errors)")
        let shard = try SafetensorsFile(trace.appending(path: "shards/000000.safetensors"))
        let ids = Array(try #require(shard["token"]).bytes.bindMemory(to: Int32.self))
        func spelled(_ text: String) -> [Int32] { text.utf8.map(Int32.init) }
        let expected =
            [130, 128] + spelled("system\ns") + [129] + spelled("\n") + [128] + spelled("user\nh<|im_end|>i") + [129]
            + spelled("\n    ") + [128] + spelled("assistant\n")
        #expect(Array(ids.prefix(expected.count)) == expected)
    }

    /// The character that byte-level vocabularies write for an ASCII byte, as it stands in JSON.
    private static func byteLevel(_ byte: Int) -> String {
        let printable = 33...126
        let scalar = printable.contains(byte) ? byte : byte < 33 ? 256 + byte : 256 + 33
        let character = Character(Unicode.Scalar(UInt32(scalar)) ?? " ")
        return character == "\"" || character == "\\" ? "\\\(character)" : String(character)
    }

    @Test func theContextIsSaid() throws {
        let long = String(repeating: "Rauch steigt auf ", count: 1200)
        let result = try Moescope.run("generate", "polyglot", "--prompt", long, "--max-tokens", "1")
        #expect(result.status != 0 && result.errorLines.count == 1)
        #expect(result.errors.contains("2048"), "\(result.errors)")
    }

    @Test(arguments: [
        (["--temperature", "-1"], "--temperature"), (["--top-k", "-1"], "--top-k"), (["--top-p", "2"], "--top-p"),
        (["--repetition-penalty", "inf"], "--repetition-penalty"), (["--stop", ""], "--stop"),
        (["--show-experts", "6"], "layer 6"), (["--system", "x"], "--chat"), (["--corpus", "/nowhere"], "not both"),
    ])
    func refusesNonsense(_ arguments: [String], _ mention: String) throws {
        let result = try Moescope.run(arguments: ["generate", "polyglot", "--prompt", "x"] + arguments)
        #expect(result.status != 0)
        #expect(result.errors.contains(mention), "\(result.errors)")
    }
}
