import FileFormats
import Foundation
import Synchronization
import Tensors

/// A model on disk, opened and wholly checked: every tensor the config asks for is present, of the right shape and of
/// a type the engine computes with, before anything runs. Weights are memory-mapped and read when touched.
public final class Checkpoint: Sendable {
    /// Folder or file it was opened from.
    public let url: URL
    /// Whether it was read from a GGUF file; else from a Hugging Face folder.
    package let isGGUF: Bool
    public let config: ModelConfig
    public let tensors: ModelTensors
    /// The files that hold weights, in name order.
    public let files: [URL]
    /// The file the tokenizer is read from: of a folder the first of `tokenizerFiles`; the GGUF file itself; nil: none.
    public let tokenizerFile: URL?
    /// Tensors in the files that the model does not use.
    public let unusedTensors: [String]
    /// What the files say and is not obeyed, though it would matter: one sentence each, for whoever loads the model.
    public let notices: [String]
    let unusedBytes: Int
    private let cachedHash = Mutex<String?>(nil)
    /// Faults of maps that were there when this model's files were last seen whole.
    let checkedFaults = Atomic<Int>(0)
    /// Files that hold a vocabulary, the one that transformers takes first; not all kinds can be read.
    static let tokenizerFiles = ["tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json", "tiktoken.model"]

    init(
        url: URL, isGGUF: Bool, config: ModelConfig, tensors: ModelTensors, files: [URL], tokenizerFile: URL?,
        unusedTensors: [String], unusedBytes: Int, notices: [String] = []
    ) {
        self.url = url
        self.isGGUF = isGGUF
        self.config = config
        self.tensors = tensors
        self.files = files
        self.tokenizerFile = tokenizerFile
        self.unusedTensors = unusedTensors
        self.unusedBytes = unusedBytes
        self.notices = notices + Self.notice(ofUnused: unusedTensors)
    }

    /// Opens a Hugging Face folder or a GGUF file (of a split one, any part). `ModelLocator` turns names such as `polyglot` into a path.
    ///
    /// Reads headers only: a checkpoint larger than memory opens in milliseconds.
    /// - Throws: `missing`, `unreadable`, `truncated`, `malformed`, `mismatch` or `unsupported`, naming file and field or tensor.
    public static func open(_ path: URL) throws(FileError) -> Checkpoint {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder) else {
            throw FileError(
                .missing, file: path.path, problem: "no such file or folder",
                hint: "name a Hugging Face folder or a .gguf file")
        }
        if !isFolder.boolValue, GGUFHeader.isExpected(in: path) { return try openGGUF(path) }
        guard isFolder.boolValue else {
            throw FileError(
                .unsupported, file: path.path,
                expected: "a .gguf file, or a folder with config.json and model.safetensors",
                found: "another file", hint: path.pathExtension == "safetensors" ? "name its folder" : nil)
        }
        return try openHuggingFace(path)
    }

    private static func openHuggingFace(_ folder: URL) throws(FileError) -> Checkpoint {
        let file = folder.appendingPathComponent("config.json")
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw FileError(
                .missing, file: file.path, problem: "no such file",
                hint: "a Hugging Face folder holds config.json and model.safetensors")
        }
        var read = try ModelConfig.huggingFace(file)
        let weights = try HuggingFaceWeights(folder: folder)
        try ForeignWeights.refuse(weights.tensors, path: weights.tableOfContents.path, blocks: read.blocks)
        var table = TensorTable(
            file: weights.tableOfContents.path, tensors: weights.tensors, blocks: read.blocks)
        let (input, output) = (read.family.name(.embedding), read.family.name(.output))
        if read.config.tiesOutputToEmbedding, table.differ(input, output) {
            read.config.tiesOutputToEmbedding = false
            read.notices.append(
                "config.json: tie_word_embeddings (true) is not used: \(output) is there with other values than \(input), "
                    + "and transformers then keeps both")
        }
        let tensors = try ModelTensors.huggingFace(&table, config: read.config, family: read.family)
        if let blocks = read.blocks {
            read.notices.append(
                "the weights are FP8 in blocks of \(blocks.rows) × \(blocks.columns), and are computed with as F32: four times "
                    + "their size in memory. A GGUF file that `moescope quantize` makes of the folder is smaller and faster"
            )
        }
        // What lies outside the layers is read at any time.
        for tensor in [tensors.embedding, tensors.output, tensors.finalNorm] { tensor.produced?.hold() }
        let tokenizer = tokenizerFiles.map { folder.appendingPathComponent($0) }
            .first { FileManager.default.fileExists(atPath: $0.path) }
        return Checkpoint(
            url: folder, isGGUF: false, config: read.config, tensors: tensors, files: weights.files,
            tokenizerFile: tokenizer,
            unusedTensors: table.unused, unusedBytes: table.unusedBytes, notices: read.notices)
    }

    private static func openGGUF(_ file: URL) throws(FileError) -> Checkpoint {
        let weights = try GGUFWeights(file)
        let read = try ModelConfig.gguf(weights, path: file.path)
        // Llama 3's frequency factors: read as if they were not there, every position would be slightly wrong.
        guard weights.tensors["rope_freqs.weight"] == nil else {
            throw FileError(.unsupported, file: file.path, field: "tensor rope_freqs.weight")
        }
        var table = TensorTable(file: file.path, tensors: weights.tensors)
        let tensors = try ModelTensors.gguf(&table, config: read.config)
        if read.config.attention.rotary.scaling?.kind == .longRope {
            for name in RopeScaling.factorTensors { table.use(name) }
        }
        let hasVocabulary = weights.metadata["tokenizer.ggml.tokens"] != nil
        return Checkpoint(
            url: file, isGGUF: true, config: read.config, tensors: tensors, files: weights.files,
            tokenizerFile: hasVocabulary ? weights.files[0] : nil, unusedTensors: table.unused,
            unusedBytes: table.unusedBytes, notices: read.notices)
    }

    /// One sentence about tensors that the model does not use; older files hold rotary tables that follow from the config.
    private static func notice(ofUnused names: [String]) -> [String] {
        let names = names.filter { !$0.hasSuffix("rotary_emb.inv_freq") }
        guard !names.isEmpty else { return [] }
        let shown = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : "")
        return [
            "\(names.count) tensor\(names.count == 1 ? " is" : "s are") in the files but not in the model: \(shown)"
        ]
    }

    /// The config alone, of a `config.json`, or of a folder that holds one and needs no weights beside it.
    ///
    /// - Throws: as `open`, and `unsupported` where the sizes are beyond any model, so that sums over its tensors fit `Int`.
    public static func config(_ path: URL) throws(FileError) -> ModelConfig {
        let file = path.lastPathComponent == "config.json" ? path : path.appendingPathComponent("config.json")
        let config = try ModelConfig.huggingFace(file).config
        try config.checkMagnitude(file: file.path)
        return config
    }

    /// Whether a folder holds weights that `open` reads.
    public static func hasWeights(_ folder: URL) -> Bool {
        ["model.safetensors", "model.safetensors.index.json"].contains {
            FileManager.default.fileExists(atPath: folder.appendingPathComponent($0).path)
        }
    }

    /// The folder's name, or the file's without its extension; in a Hugging Face cache, whose folders are named by commits, the model's.
    public var name: String {
        let path = url.standardizedFileURL
        if let hub = HubName.around(path) { return hub.name }
        return path.pathExtension.lowercased() == "gguf"
            ? path.deletingPathExtension().lastPathComponent : path.lastPathComponent
    }

    /// SHA-256 (hex) of the weight files' bytes one after the other, in name order: for one file, what `sha256sum` prints.
    ///
    /// Reads every byte the first time (about a second per gigabyte), then remembers, also between runs (`FileHashes`), for as long as
    /// no file's size, times or inode change.
    public func sha256() throws(FileError) -> String {
        if let knownSHA256 { return knownSHA256 }
        let text = try FileHashes.rememberedSHA256(of: files)
        cachedHash.withLock { $0 = text }
        return text
    }

    /// What `sha256` gave; nil where it was not asked.
    var knownSHA256: String? { cachedHash.withLock { $0 } }
}
