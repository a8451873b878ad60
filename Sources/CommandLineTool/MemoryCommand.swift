import ArgumentParser
import Checkpoints
import FileFormats
import Foundation
import MoEModel

struct MemoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory",
        abstract: "What a model takes in memory, by quantization and context.",
        discussion: """
            Weights, key/value cache and working memory, from the config alone: \
            \(ModelCard.all.map(\.name).joined(separator: ", ")) are known by name, and a config.json is enough. \
            Sizes follow the mix of types that llama.cpp gives each tensor.

            Examples:
              moescope memory mixtral-8x7b --fits 24G
              moescope memory mixtral-8x22b --cache q8_0 --batch 4 --json
              moescope memory config.json
              moescope memory polyglot --measure
            """)

    @Argument(
        help: ArgumentHelp(
            "A Hugging Face folder, a config.json, a .gguf file, polyglot, a name on the Hub in this machine's cache, or a model known by name.",
            valueName: "model"))
    var models: [String]

    @Option(help: "Mark what fits this much memory, e.g. 24G.")
    var fits: ByteSize?

    @Option(help: "How the cache is kept: f32, f16 or q8_0 (default: f16; f32 with exact precision).")
    var cache: CacheType?

    @Option(help: ArgumentHelp("Texts to keep a cache for at once.", valueName: "n"))
    var batch = 1

    @Option(
        help: ArgumentHelp("Contexts to show, e.g. 2048,8192 (default: 1,024 to the model's limit).", valueName: "list")
    )
    var contexts: String?

    @Option(help: ArgumentHelp("Tokens that are read at once.", valueName: "n"))
    var rows = 512

    @Option(help: .precision)
    var precision: Precision = .fast

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @Flag(help: "Run the model with the last of the contexts and compare with what this process then takes.")
    var measure = false

    @Flag(help: "Print JSON: an array with an object for each model.")
    var json = false

    func validate() throws {
        for (name, value, limit) in [("--batch", batch, 1 << 12), ("--rows", rows, 1 << 20)]
        where !(1...limit).contains(value) {
            throw ValidationError("\(name): expected 1 to \(limit), found \(value)")
        }
        if let threads, !(1...Model.mostThreads).contains(threads) {
            throw ValidationError("--threads: expected 1 to \(Model.mostThreads), found \(threads)")
        }
        if measure, models.count > 1 { throw ValidationError("--measure: expected one model, found \(models.count)") }
    }

    func run() throws {
        var settings = MemoryTable.Settings()
        settings.cache = cache
        settings.batch = batch
        settings.rows = rows
        settings.precision = precision
        if let threads { settings.threads = threads }
        settings.fits = fits?.bytes
        let subjects = try models.map { try Subject($0) }
        var reports: [Report] = []
        for subject in subjects {
            var settings = settings
            settings.contexts = try contexts.map { try parseContexts($0, subject) }
            let table = MemoryTable(
                name: subject.name, config: subject.config, checkpoint: subject.checkpoint, card: subject.card,
                settings: settings)
            var measurement: MemoryMeasurement?
            if measure {
                guard let checkpoint = subject.checkpoint, let context = table.types.first?.contexts.last?.context
                else {
                    throw ValidationError("--measure: \(subject.name) has no weights here to run")
                }
                measurement = try MemoryMeasurement(checkpoint.url, context: context, settings: settings)
            }
            reports.append(Report(table: table, measured: measurement))
        }
        if json {
            try print(reports.prettyJSON())
        } else {
            try print(
                reports.map { [$0.table.screen, $0.measured?.line].compactMap { $0 }.joined(separator: "\n") }
                    .joined(separator: "\n\n"))
        }
    }

    private func parseContexts(_ text: String, _ subject: Subject) throws -> [Int] {
        let limit = subject.config.contextLength
        let contexts = try parseIntegers(text, option: "--contexts")
        guard contexts.count <= 7 else {
            throw ValidationError("--contexts: expected at most 7, found \(contexts.count)")
        }
        for context in contexts where !(1...limit).contains(context) {
            throw ValidationError(
                "--contexts: expected 1 to \(limit), the context of \(subject.name), found \(context)")
        }
        return contexts.sorted()
    }

    /// A table, and what was measured for one of its cells.
    private struct Report: Encodable {
        let table: MemoryTable
        let measured: MemoryMeasurement?

        private enum CodingKeys: String, CodingKey { case measured }

        func encode(to encoder: any Encoder) throws {
            try table.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encodeIfPresent(measured, forKey: .measured)
        }
    }
}

/// What `memory` is asked about: weights, a config alone, or a card.
private struct Subject {
    let name: String
    let config: ModelConfig
    let checkpoint: Checkpoint?
    let card: ModelCard?

    init(_ model: String) throws {
        if let card = ModelCard.named(model), !FileManager.default.fileExists(atPath: model) {
            self.init(name: card.name, config: card.config, checkpoint: nil, card: card)
            return
        }
        let path = try ModelLocator.resolve(model)
        let isConfig = path.lastPathComponent == "config.json"
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder)
        let hasConfig = FileManager.default.fileExists(atPath: path.appendingPathComponent("config.json").path)
        if exists, isConfig || (isFolder.boolValue && hasConfig && !Checkpoint.hasWeights(path)) {
            let name = (isConfig ? path.deletingLastPathComponent() : path).standardizedFileURL.lastPathComponent
            self.init(name: name, config: try Checkpoint.config(path), checkpoint: nil, card: nil)
        } else {
            let checkpoint = try Checkpoint.open(path)
            try checkpoint.config.checkMagnitude(file: path.path)
            self.init(name: checkpoint.name, config: checkpoint.config, checkpoint: checkpoint, card: nil)
        }
    }

    private init(name: String, config: ModelConfig, checkpoint: Checkpoint?, card: ModelCard?) {
        (self.name, self.config, self.checkpoint, self.card) = (name, config, checkpoint, card)
    }
}
