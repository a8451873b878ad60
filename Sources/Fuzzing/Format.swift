import ArgumentParser

/// A kind of file that is read, and mutated.
enum Format: String, CaseIterable, ExpressibleByArgument {
    case safetensors
    case gguf
    case config
    case index
    case tokenizerJSON = "tokenizer.json"
    case tokenizerModel = "tokenizer.model"
    case importance
    case corpus
    case manifest
    case documents
    case shards
    case attention
    case vocabulary
    case experiment

    /// Whether hashes in a trace's manifest are mended half of the time, so that what is behind them is reached.
    var hasHashes: Bool {
        switch self {
        case .documents, .shards, .attention, .vocabulary: true
        default: false
        }
    }
}

/// A sound input: files of a folder, of which some are mutated.
struct Seed: Sendable {
    var name: String
    /// By path in the folder.
    var files: [String: [UInt8]]
    /// Paths that are mutated.
    var targets: [String]

    init(_ name: String, _ files: [String: [UInt8]], targets: [String]) {
        self.name = name
        self.files = files
        self.targets = targets.filter { files[$0] != nil }
    }
}
