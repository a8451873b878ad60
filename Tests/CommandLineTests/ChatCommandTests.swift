import Checkpoints
import FileFormats
import Foundation
import TestSupport
import Testing

/// `generate --chat` on folders that bring a template of their own.
struct ChatCommandTests {
    /// The built-in Python needs jinja2; nil where it is not installed.
    private static let environment: [String: String]? = PythonPackages.file("jinja2/__init__.py").map { jinja in
        ["VIRTUAL_ENV": String(jinja.pathComponents.prefix { $0 != "lib" }.joined(separator: "/").dropFirst())]
    }

    /// A small Mixtral whose 128 first tokens are the ASCII characters.
    private func model(template: String) throws -> URL {
        let folder = try Moescope.temporaryFolder()
        let fixture = Fixtures.folder.appending(path: "parity/grouped")
        for name in ["model.safetensors", "config.json"] {
            try FileManager.default.copyItem(at: fixture.appending(path: name), to: folder.appending(path: name))
        }
        let pieces = (0..<128).map { "\"\(Self.byteLevel($0))\": \($0)" }.joined(separator: ",")
        let tokenizer = """
            {"added_tokens": [{"id": 128, "content": "<end>", "special": true, "single_word": false, "lstrip": false, \
            "rstrip": false, "normalized": false}], "model": {"type": "BPE", "vocab": {\(pieces)}, "merges": []}, \
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}}
            """
        try Data(tokenizer.utf8).write(to: folder.appending(path: "tokenizer.json"))
        try JSONEncoder().encode(["chat_template": template, "eos_token": "<end>"]).write(
            to: folder.appending(path: "tokenizer_config.json"))
        return folder
    }

    private static func byteLevel(_ byte: Int) -> String {
        let scalar = (33...126).contains(byte) ? byte : byte < 33 ? 256 + byte : 256 + 33
        let character = Character(Unicode.Scalar(UInt32(scalar)) ?? " ")
        return character == "\"" || character == "\\" ? "\\\(character)" : String(character)
    }

    /// The prompt's text, up to where the model answers.
    private func prompt(_ template: String, _ extra: String...) throws -> String {
        let environment = try #require(Self.environment)
        let model = try model(template: template)
        defer { try? FileManager.default.removeItem(at: model) }
        let trace = model.appending(path: "t")
        let result = try Moescope.run(
            arguments: [
                "generate", model.path, "--chat", "--prompt", "hi", "--json", "--max-tokens", "1", "--trace",
                trace.path,
            ] + extra, environment: environment)
        #expect(result.status == 0, "\(result.errors)")
        let output = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let count = try #require(output["prompt_tokens"] as? Int)
        let shard = try SafetensorsFile(trace.appending(path: "shards/000000.safetensors"))
        let ids = try #require(shard["token"]).bytes.bindMemory(to: Int32.self).prefix(count)
        return String(decoding: ids.map { UInt8(clamping: $0) }, as: UTF8.self)
    }

    /// A Mixtral that brings a template is asked with it, whatever marks it writes; members of a message keep their order.
    @Test(.enabled(if: environment != nil))
    func theModelsOwnTemplate() throws {
        let own = "{% for m in messages %}[INST] You are kind. {{ m.content }} [/INST]{% endfor %}"
        #expect(try prompt(own) == "[INST] You are kind. hi [/INST]")
        let system = "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
        #expect(try prompt(system, "--system", "be brief") == "system:be brief;user:hi;")
        for _ in 0..<4 {
            #expect(try prompt("{{ messages[0] | tojson }}") == #"{"role": "user", "content": "hi"}"#)
        }
        #expect(
            try prompt("{{ tools is none }} {{ bos_token is defined }}{% generation %}!{% endgeneration %}")
                == "True False!")
    }

    /// A template that writes nothing ends in one line, not in a crash.
    @Test(
        .enabled(if: environment != nil),
        arguments: ["", "{%- for m in messages %}{%- if m.role == 'tool' %}x{%- endif %}{%- endfor %}"])
    func nothingToAnswer(_ template: String) throws {
        let model = try model(template: template)
        defer { try? FileManager.default.removeItem(at: model) }
        let result = try Moescope.run(
            arguments: ["generate", model.path, "--chat", "--prompt", "hi", "--max-tokens", "1"],
            environment: try #require(Self.environment))
        #expect(result.status == 1)
        #expect(result.errorLines.count == 1 && result.errors.contains("writes nothing"), "\(result.errors)")
    }
}
