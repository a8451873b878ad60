import Foundation
import FileFormats

extension Checkpoint {
    /// What lies beside the weights about the model: nothing here is needed to run it, and nothing unreadable is an error.
    public struct Notes: Sendable {
        /// `license` of the model card's front matter (`README.md`), or GGUF's `general.license`.
        public var license: String?
        public var chatTemplate: ChatTemplate?
        /// GGUF's `general.file_type`: how the file says it was quantized.
        public var fileType: Int?
        /// Weight files in the folder that the index does not name.
        public var strayFiles: [String] = []
        /// Bytes of all tensors, as the index says (`metadata.total_size`).
        public var announcedBytes: Int?
    }

    /// Reads the notes anew.
    public func notes() -> Notes { url.pathExtension == "gguf" ? ggufNotes() : folderNotes() }

    private func ggufNotes() -> Notes {
        var notes = Notes()
        guard let file = files.first, let metadata = try? GGUFFile(file).metadata else { return notes }
        notes.license = metadata["general.license"]?.string
        let key = "tokenizer.chat_template"
        notes.chatTemplate = metadata[key]?.string.map { ChatTemplate(source: key, text: $0) }
        notes.fileType = metadata["general.file_type"]?.int
        return notes
    }

    private func folderNotes() -> Notes {
        var notes = Notes()
        notes.license = text("README.md").flatMap(Self.license)
        notes.chatTemplate = folderTemplate
        let used = Set(files.map(\.lastPathComponent))
        let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
        notes.strayFiles = names.filter {
            $0.hasSuffix(".safetensors") && !used.contains($0) && !$0.hasPrefix("consolidated")
        }.sorted()
        if !used.contains("model.safetensors") {
            notes.announcedBytes = json("model.safetensors.index.json")?["metadata"]?.object?["total_size"]?.int
        }
        return notes
    }

    /// Where transformers looks, newest first.
    private var folderTemplate: ChatTemplate? {
        if let text = text("chat_template.jinja") { return ChatTemplate(source: "chat_template.jinja", text: text) }
        for name in ["chat_template.json", "tokenizer_config.json"] {
            switch json(name)?["chat_template"] {
            case .string(let text)?: return ChatTemplate(source: name, text: text)
            case .array(let list)?:
                // Several, by name; "default" is the one that is used.
                let entries = list.compactMap(\.object)
                let chosen = entries.first { $0["name"]?.string == "default" } ?? entries.first
                if let text = chosen?["template"]?.string { return ChatTemplate(source: name, text: text) }
            default: continue
            }
        }
        return nil
    }

    /// A text file of the folder, up to 16 MB.
    private func text(_ name: String) -> String? {
        guard let file = try? MappedFile(url.appendingPathComponent(name)), file.bytes.count < 1 << 24 else {
            return nil
        }
        return String(decoding: file.bytes, as: UTF8.self)
    }

    private func json(_ name: String) -> JSONObject? {
        guard let file = try? MappedFile(url.appendingPathComponent(name)) else { return nil }
        return (try? JSON.parse(file.bytes))?.object
    }

    /// `license:` of YAML front matter, between two lines of three dashes at the start.
    static func license(_ card: String) -> String? {
        let lines = card.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else { return nil }
        func field(_ name: String) -> String? {
            lines[1..<end].first { $0.hasPrefix("\(name):") }.map {
                $0.dropFirst(name.count + 1).trimmingCharacters(in: CharacterSet(charactersIn: " \t\"'"))
            }.flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let license = field("license") else { return nil }
        // "other" says nothing; the name beside it does.
        return license == "other" ? field("license_name") ?? license : license
    }
}
