import Foundation
import FileFormats

extension Checkpoint {
    /// The Jinja template of the model's conversations, where transformers finds it: `chat_template.jinja`, "default" of
    /// `additional_chat_templates`, `chat_template` of `tokenizer_config.json` (of several, the one named "default"); or
    /// `tokenizer.chat_template` of a GGUF file. nil where the model brings none.
    /// - Throws: a file that is there and cannot be read, or a template that is none.
    public func chatTemplate() throws(FileError) -> ChatTemplate? {
        if isGGUF {
            let key = "tokenizer.chat_template"
            return try GGUFFile(files[0]).header.metadata[key]?.string.map { ChatTemplate(source: key, text: $0) }
        }
        if let text = text("chat_template.jinja") { return ChatTemplate(source: "chat_template.jinja", text: text) }
        let folder = "additional_chat_templates"
        let others = try? FileManager.default.contentsOfDirectory(atPath: url.appendingPathComponent(folder).path)
        if let others = others?.filter({ $0.hasSuffix(".jinja") }).sorted(), !others.isEmpty {
            let source = "\(folder)/default.jinja"
            if let text = text(source) { return ChatTemplate(source: source, text: text) }
            throw FileError(
                .unsupported, file: url.appendingPathComponent(folder).path,
                problem: "none of \(others.joined(separator: ", ")) is default.jinja",
                hint: "transformers asks for the name of one")
        }
        return try namedTemplate("tokenizer_config.json")
    }

    private func namedTemplate(_ name: String) throws(FileError) -> ChatTemplate? {
        guard let value = try settings(name)?.object?["chat_template"], !value.isNull else { return nil }
        if let text = value.string { return ChatTemplate(source: name, text: text) }
        let file = url.appendingPathComponent(name).path
        guard let entries = value.array?.compactMap(\.object) else {
            throw FileError(
                .malformed, file: file, field: "field chat_template", expected: "a text, or several with names",
                found: value.kindDescription)
        }
        if let text = entries.first(where: { $0["name"]?.string == "default" })?["template"]?.string {
            return ChatTemplate(source: name, text: text)
        }
        let names = entries.compactMap { $0["name"]?.string }
        throw FileError(
            .unsupported, file: file, field: "field chat_template", expected: "one named \"default\"",
            found: names.isEmpty ? "none" : names.joined(separator: ", "))
    }

    /// Ids that end a text: `eos_token_id` of `generation_config.json`, else of `config.json`; of a GGUF file the ends of a
    /// text, a turn and a message. Empty where none is named.
    public func endTokens() throws(FileError) -> [Int32] {
        var ids: [Int] = []
        if isGGUF {
            let metadata = try GGUFFile(files[0]).header.metadata
            ids = ["eos", "eot", "eom"].compactMap { metadata["tokenizer.ggml.\($0)_token_id"]?.int }
        } else {
            for name in ["generation_config.json", "config.json"] where ids.isEmpty {
                guard let value = try settings(name)?.object?["eos_token_id"] else { continue }
                ids = (value.array ?? [value]).compactMap(\.int)
            }
        }
        return ids.filter { 0..<config.vocabularySize ~= $0 }.map(Int32.init)
    }

    /// A JSON file of the folder; nil where there is none.
    private func settings(_ name: String) throws(FileError) -> JSON? {
        let file = url.appendingPathComponent(name)
        guard let data = try FileContents.readIfThere(file) else { return nil }
        do throws(JSONSyntaxError) {
            return try JSON.parse(Array(data))
        } catch {
            throw FileError(.malformed, file: file.path, problem: error.description)
        }
    }

    /// A text file of the folder, up to 16 MB.
    func text(_ name: String) -> String? {
        guard let file = try? MappedFile(url.appendingPathComponent(name)), file.bytes.count < 1 << 24 else {
            return nil
        }
        return String(decoding: file.bytes, as: UTF8.self)
    }
}
