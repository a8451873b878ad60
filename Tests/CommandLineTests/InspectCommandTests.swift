import Foundation
import TestSupport
import Testing

struct InspectCommandTests {
    let folder: URL
    let model = Fixtures.folder.appending(path: "parity/grouped")

    init() throws { folder = try Moescope.temporaryFolder() }

    private func inspect(_ path: String) throws -> [String: Any] {
        let result = try Moescope.run("inspect", path, "--json")
        #expect(result.status == 0, "\(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    }

    /// A copy of the fixture's checkpoint with its config changed and files added.
    private func changed(_ config: [String: Any] = [:], files: [String: String] = [:]) throws -> URL {
        let copy = folder.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            at: model.appending(path: "model.safetensors"), to: copy.appending(path: "model.safetensors"))
        let data = try Data(contentsOf: model.appending(path: "config.json"))
        var object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        object.merge(config) { $1 }
        try JSONSerialization.data(withJSONObject: object).write(to: copy.appending(path: "config.json"))
        for (name, text) in files { try Data(text.utf8).write(to: copy.appending(path: name)) }
        return copy
    }

    private func remarks(_ config: [String: Any] = [:], files: [String: String] = [:]) throws -> String {
        let found = try inspect(try changed(config, files: files).path)["remarks"] as? [String]
        return try #require(found).joined(separator: "\n")
    }

    @Test func polyglot() throws {
        let found = try inspect("polyglot")
        #expect(found["parameters_total"] as? Int == 16_399_616)
        #expect(found["parameters_active"] as? Int == 7_994_624)
        #expect(found["remarks"] as? [String] == [])
        let types = try #require(found["types"] as? [[String: Any]])
        #expect(types.count == 1 && types[0]["dtype"] as? String == "BF16" && types[0]["tensors"] as? Int == 189)
        #expect(types[0]["bits_per_weight"] as? Double == 16)
        #expect((found["tokenizer"] as? [String: Any])?["vocabulary_size"] as? Int == 8192)
        #expect(found["chat_template"] == nil)
    }

    /// The mix is recognized by its tensors' types, and counted as they lie in the file.
    @Test func aQuantizedFile() throws {
        let file = folder.appending(path: "q.gguf").path
        #expect(try Moescope.run("quantize", "polyglot", "--type", "Q4_K_M", "--output", file).status == 0)
        let found = try inspect(file)
        let mix = try #require(found["quantization"] as? [String: Any])
        #expect(mix["mix"] as? String == "Q4_K_M" && mix["announced"] as? String == "Q4_K_M")
        let types = try #require(found["types"] as? [[String: Any]])
        let count = types.reduce(0) { $0 + ($1["tensors"] as? Int ?? 0) }
        // Embedding, output, final norm; per layer two norms, q, k, v, o, the router and three merged experts.
        #expect(count == 3 + 6 * 10)
        let full = try #require(types.first { $0["dtype"] as? String == "Q8_0" })
        #expect((full["roles"] as? [String])?.contains("attn_v") == true)
        let bytes = types.reduce(0) { $0 + ($1["bytes"] as? Int ?? 0) }
        #expect(bytes == found["weight_bytes"] as? Int)
        let screen = try Moescope.run("inspect", file).output
        #expect(screen.contains("Q4_K_M, llama.cpp's mix of types"), "\(screen)")
    }

    @Test func cards() throws {
        let small = try inspect("mixtral-8x7b")
        #expect(small["parameters_total"] as? Int == 46_702_792_704 && small["has_weights"] as? Bool == false)
        let large = try Moescope.run("inspect", "Mixtral-8x22B-Instruct").output
        #expect(large.contains("140.6 B in all, 39.2 B active") && large.contains("[INST]"), "\(large)")
    }

    @Test func licenseAndTemplate() throws {
        let card = "---\nlanguage:\n- en\nlicense: \"apache-2.0\"\n---\n# A model\nlicense: none\n"
        let template =
            #"{"chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "[INST]{{ m }}"}]}"#
        let found = try inspect(try changed(files: ["README.md": card, "tokenizer_config.json": template]).path)
        #expect(found["license"] as? String == "apache-2.0")
        let chat = try #require(found["chat_template"] as? [String: Any])
        #expect(chat["kind"] as? String == "Mistral [INST]" && chat["source"] as? String == "tokenizer_config.json")
        let other = "---\r\nlicense: other\r\nlicense_name: mnpl\r\n---\r\n"
        #expect(try inspect(try changed(files: ["README.md": other]).path)["license"] as? String == "mnpl")
        #expect(try inspect(try changed(files: ["README.md": "license: mit\n"]).path)["license"] == nil)
    }

    @Test func whatLooksWrongIsSaid() throws {
        #expect(try remarks(["rope_theta": 10_000, "max_position_embeddings": 32_768]).contains("1,000,000"))
        #expect(try remarks(["sliding_window": 4096]).contains("sliding window of 4,096"))
        #expect(try remarks(["max_position_embeddings": 1 << 30]).contains("more than any model"))
        #expect(try remarks(["rms_norm_eps": 0.5]).contains("norm epsilon of 0.5"))
        #expect(try remarks(["tie_word_embeddings": true]).contains("lm_head.weight"))
        #expect(try remarks(files: ["adapter.safetensors": ""]).contains("adapter.safetensors"))
        // Beyond what Int holds.
        #expect(try Moescope.run("inspect", try changed(["rope_theta": 1e30]).path).output.contains("1e+30"))
    }
}
