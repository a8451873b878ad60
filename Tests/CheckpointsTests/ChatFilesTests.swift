import Checkpoints
import FileFormats
import Foundation
import Testing

/// Where a folder's chat template and end tokens are found: in the order of transformers 5.24.
@Suite struct ChatFilesTests {
    private func checkpoint<R>(
        _ files: [String: String], config: [String: String] = [:], _ body: (Checkpoint) throws -> R
    ) throws -> R {
        let folder = try TemporaryFolder()
        var tiny = TinyMixtral()
        tiny.config.merge(config) { $1 }
        try tiny.write(to: folder.url)
        for (name, text) in files {
            let file = folder.path(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return try body(Checkpoint.open(folder.url))
    }

    @Test(arguments: [
        (["tokenizer_config.json": #"{"chat_template": "A"}"#], "A", "tokenizer_config.json"),
        (
            ["tokenizer_config.json": #"{"chat_template": "A"}"#, "chat_template.jinja": "B"], "B",
            "chat_template.jinja"
        ),
        (
            [
                "tokenizer_config.json":
                    #"{"chat_template": [{"name": "x", "template": "A"}, {"name": "default", "template": "C"}]}"#
            ],
            "C", "tokenizer_config.json"
        ),
        (
            ["additional_chat_templates/default.jinja": "D", "tokenizer_config.json": #"{"chat_template": "A"}"#], "D",
            "additional_chat_templates/default.jinja"
        ),
        (["additional_chat_templates/x.jinja": "D", "chat_template.jinja": "B"], "B", "chat_template.jinja"),
        (["tokenizer_config.json": #"{"chat_template": ""}"#], "", "tokenizer_config.json"),
    ])
    func template(_ files: [String: String], _ text: String, _ source: String) throws {
        try checkpoint(files) { checkpoint in
            let template = try #require(try checkpoint.chatTemplate())
            #expect(template.source == source && template.text == text)
            // What `inspect` shows is what `generate` renders.
            #expect(checkpoint.notes().chatTemplate == template)
        }
    }

    @Test func noTemplate() throws {
        for files in [[:], ["tokenizer_config.json": "{}"], ["tokenizer_config.json": #"{"chat_template": null}"#]] {
            try checkpoint(files) { checkpoint in
                let template = try checkpoint.chatTemplate()
                #expect(template == nil)
                #expect(checkpoint.notes().templateProblem == nil)
            }
        }
        try checkpoint(["chat_template.json": #"{"chat_template": "A"}"#]) { checkpoint in
            let template = try checkpoint.chatTemplate()
            #expect(template == nil)
            #expect(checkpoint.notes().templateProblem?.contains("chat_template.json") == true)
        }
    }

    @Test(arguments: [
        (["tokenizer_config.json": #"{"chat_template": false}"#], "field chat_template: expected a text"),
        (["tokenizer_config.json": #"{"chat_template": [{"name": "tool_use", "template": "A"}]}"#], "found tool_use"),
        (["additional_chat_templates/x.jinja": "D"], "default.jinja"),
    ])
    func noneThatCanBeUsed(_ files: [String: String], _ mention: String) throws {
        try checkpoint(files) { checkpoint in
            let found = #expect(throws: FileError.self) { try checkpoint.chatTemplate() }
            #expect(found?.description.contains(mention) == true, "\(found?.description ?? "")")
            #expect(checkpoint.notes().templateProblem?.contains(mention) == true)
        }
    }

    @Test(arguments: [
        ([:], "2", [2]), ([:], "[2, 7]", [2, 7]), ([:], "null", []),
        (["generation_config.json": #"{"eos_token_id": [5, 6]}"#], "2", [5, 6]),
        (["generation_config.json": #"{"eos_token_id": 4}"#], "[2, 7]", [4]),
        (["generation_config.json": #"{"temperature": 1}"#], "2", [2]),
        // Ids that the model does not have end nothing.
        (["generation_config.json": #"{"eos_token_id": [5, 999, -1]}"#], "2", [5]),
    ])
    func endTokens(_ files: [String: String], _ config: String, _ expected: [Int32]) throws {
        // Of several ids in config.json, the model's own field takes the first.
        try checkpoint(files, config: ["eos_token_id": config]) { checkpoint in
            let found = try checkpoint.endTokens()
            #expect(found == expected)
        }
    }

    /// tokenizer.json goes before tokenizer.model, and both before a vocabulary without its rules.
    @Test func whichTokenizer() throws {
        var files = ["vocab.json": "{}", "merges.txt": "", "tokenizer.model": "", "tokenizer.json": "{}"]
        for name in ["tokenizer.json", "tokenizer.model", "vocab.json"] {
            try checkpoint(files) { #expect($0.tokenizerFile?.lastPathComponent == name) }
            files[name] = nil
        }
        try checkpoint(files) { #expect($0.tokenizerFile == nil) }
    }
}
