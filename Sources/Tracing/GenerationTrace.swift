import Checkpoints
import Crypto
import FileFormats
import Foundation
import Hooks
import MoEModel
import Tokenizers
import Traces

/// Records how the tokens of generated texts route: each text is a document of the trace, its prompt and what the model
/// answered told apart by `prompt_tokens`.
public final class GenerationTrace {
    /// What to observe while a text is read and generated.
    public let plan: HookPlan
    private let model: Model
    private let tokenizer: any Tokenizer
    private let source: String
    private let version: String
    private let options = TraceOptions()
    private var texts: [GeneratedText] = []

    /// Tokens per shard, from which on the next text begins another.
    private static let shardTokens = 8192

    /// - Parameter source: what the trace calls the corpus.
    public init(model: Model, tokenizer: any Tokenizer, source: String, version: String) throws {
        self.model = model
        self.tokenizer = tokenizer
        self.source = source
        self.version = version
        let empty = try TraceRun.manifest(
            model: model, tokenizer: tokenizer, corpus: Corpus(source: source, documents: []), tokens: [],
            options: options, version: version, hashingWeights: false)
        plan = try TraceRun.plan(options, manifest: empty, model: model)
    }

    /// Adds a finished text.
    /// - Precondition: the recorder saw every token of it once, in order.
    public func add(_ text: GeneratedText) {
        precondition(text.tokens.count == text.logprobs.count && !text.tokens.isEmpty)
        texts.append(text)
    }

    public var isEmpty: Bool { texts.isEmpty }

    /// Writes the whole trace into a new or empty folder.
    public func write(into folder: URL, generation: TraceManifest.Generation) throws {
        let corpus = Corpus(
            source: source,
            documents: texts.map {
                Corpus.Document(
                    id: $0.id, group: $0.group, content: .text($0.prompt), parallelID: $0.parallelID,
                    cluster: $0.cluster)
            })
        var manifest = try TraceRun.manifest(
            model: model, tokenizer: tokenizer, corpus: corpus, tokens: texts.map(\.tokens), options: options,
            version: version)
        manifest.generation = generation
        let writer = try TraceWriter(creating: folder, manifest: manifest)
        try writer.writeVocabulary(TraceVocabulary(tokenizer))
        var pending = texts[...]
        while !pending.isEmpty {
            var rows = 0
            let batch = pending.prefix { text in
                defer { rows += text.tokens.count }
                return rows < Self.shardTokens
            }
            pending = pending.dropFirst(batch.count)
            try writer.append(shard(Array(batch), layout: TraceLayout(manifest)))
        }
        try writer.finish()
    }

    private func shard(_ texts: [GeneratedText], layout: TraceLayout) -> TraceShard {
        let shard = TraceShard(layout: layout, documents: texts.map(\.document))
        var row = 0
        for text in texts {
            let rows = row..<row + text.tokens.count
            for (place, token) in text.tokens.enumerated() { shard.tokens[row + place] = token }
            // Nothing comes before the first row.
            for place in text.logprobs.indices.dropFirst() { shard.logprobs[row + place] = text.logprobs[place] }
            for (index, layer) in layout.layers.enumerated() {
                shard.record(text.routing, layer: layer, layerIndex: index, rows: rows)
            }
            row = rows.upperBound
        }
        return shard
    }
}

/// One text that was read and generated, for `GenerationTrace`.
public struct GeneratedText {
    public var id: String
    public var group: String
    public var parallelID: String?
    public var cluster: String?
    /// What was read, as text.
    public var prompt: String
    /// Prompt, then what was generated.
    public var tokens: [Int32]
    public var promptTokens: Int
    /// Natural log of each token's probability given those before it; the first is not looked at.
    public var logprobs: [Float]
    /// What hooks showed of the tokens' routing, in order.
    public var routing: HookRecorder

    public init(
        id: String, group: String = "", parallelID: String? = nil, cluster: String? = nil, prompt: String,
        tokens: [Int32], promptTokens: Int, logprobs: [Float], routing: HookRecorder
    ) {
        self.id = id
        self.group = group
        self.parallelID = parallelID
        self.cluster = cluster
        self.prompt = prompt
        self.tokens = tokens
        self.promptTokens = promptTokens
        self.logprobs = logprobs
        self.routing = routing
    }

    var document: TraceDocument {
        TraceDocument(
            id: id, group: group, textSHA256: SHA256.hash(data: Array(prompt.utf8)).hex, tokens: tokens.count,
            parallelID: parallelID, cluster: cluster, promptTokens: promptTokens)
    }
}

extension TraceShard {
    /// Puts what the hooks of one text's tokens showed of a layer into rows of the shard.
    fileprivate func record(_ routing: HookRecorder, layer: Int, layerIndex: Int, rows: Range<Int>) {
        let z = routing.floats(HookPoint(.routerLogits, layer: layer)) ?? []
        let weights = routing.floats(HookPoint(.expertWeights, layer: layer)) ?? []
        let chosen = routing.indices(HookPoint(.expertIndices, layer: layer)) ?? []
        precondition(
            z.count == rows.count * layout.experts && weights.count == rows.count * layout.expertsPerToken
                && chosen.count == rows.count * layout.expertsPerToken)
        z.withUnsafeBufferPointer { record(.routerLogits, layer: layer, $0, row: rows.lowerBound) }
        weights.withUnsafeBufferPointer { record(.expertWeights, layer: layer, $0, row: rows.lowerBound) }
        chosen.withUnsafeBufferPointer { setExpertIndices($0, layerIndex: layerIndex, row: rows.lowerBound) }
    }
}
