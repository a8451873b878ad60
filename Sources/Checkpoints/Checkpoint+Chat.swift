import Foundation
import FileFormats

extension Checkpoint {
    /// The Jinja template of the model's conversations: `chat_template.jinja`, `chat_template` of `tokenizer_config.json`
    /// (of several, the one named "default"), `tokenizer.chat_template` of a GGUF file; nil where the model brings none.
    /// - Throws: a file that is there and cannot be read.
    public func chatTemplate() throws(FileError) -> String? {
        if url.pathExtension == "gguf" {
            return try GGUFFile(files[0]).header.metadata["tokenizer.chat_template"]?.string
        }
        let file = url.appendingPathComponent("chat_template.jinja")
        if let data = FileManager.default.contents(atPath: file.path) { return String(decoding: data, as: UTF8.self) }
        let template = try settings("tokenizer_config.json")?.object?["chat_template"]
        if let text = template?.string { return text }
        let named = template?.array?.first { $0.object?["name"]?.string == "default" }
        return named?.object?["template"]?.string
    }

    /// Ids that end a text, as `generation_config.json` or the GGUF file says; empty where neither does.
    public func endTokens() throws(FileError) -> [Int32] {
        var ids: [Int] = []
        if url.pathExtension == "gguf" {
            let metadata = try GGUFFile(files[0]).header.metadata
            ids = ["eos", "eot"].compactMap { metadata["tokenizer.ggml.\($0)_token_id"]?.int }
        } else if let value = try settings("generation_config.json")?.object?["eos_token_id"] {
            ids = (value.array ?? [value]).compactMap(\.int)
        }
        return ids.filter { 0..<config.vocabularySize ~= $0 }.map(Int32.init)
    }

    /// A JSON file of the folder; nil where there is none.
    private func settings(_ name: String) throws(FileError) -> JSON? {
        let file = url.appendingPathComponent(name)
        guard let data = FileManager.default.contents(atPath: file.path) else { return nil }
        do throws(JSONSyntaxError) {
            return try JSON.parse(Array(data))
        } catch {
            throw FileError(.malformed, file: file.path, problem: error.description)
        }
    }
}
