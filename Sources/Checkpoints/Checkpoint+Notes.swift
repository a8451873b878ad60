import Foundation
import FileFormats

extension Checkpoint {
    /// What lies beside the weights about the model: nothing here is needed to run it, and nothing unreadable is an error.
    public struct Notes: Sendable {
        /// `license` of the model card's front matter (`README.md`), or GGUF's `general.license`.
        public var license: String?
        public var chatTemplate: ChatTemplate?
        /// Why there is no chat template although a file is there, in a sentence.
        public var templateProblem: String?
        /// GGUF's `general.file_type`: how the file says it was quantized.
        public var fileType: Int?
        /// Weight files in the folder that the index does not name.
        public var strayFiles: [String] = []
        /// Bytes of all tensors, as the index says (`metadata.total_size`).
        public var announcedBytes: Int?
    }

    /// Reads the notes anew.
    public func notes() -> Notes {
        var notes = isGGUF ? ggufNotes() : folderNotes()
        do throws(FileError) {
            notes.chatTemplate = try chatTemplate()
        } catch {
            notes.templateProblem = "The chat template cannot be read: \(error)"
        }
        if notes.chatTemplate == nil, text("chat_template.json") != nil {
            notes.templateProblem =
                "chat_template.json is not read, as in transformers, where it belongs to processors: --chat needs "
                + "chat_template.jinja."
        }
        return notes
    }

    private func ggufNotes() -> Notes {
        var notes = Notes()
        guard let file = files.first, let metadata = try? GGUFFile(file).metadata else { return notes }
        notes.license = metadata["general.license"]?.string
        notes.fileType = metadata["general.file_type"]?.int
        return notes
    }

    private func folderNotes() -> Notes {
        var notes = Notes()
        notes.license = text("README.md").flatMap(Self.license)
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
