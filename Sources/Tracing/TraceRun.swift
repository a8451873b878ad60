import Checkpoints
import FileFormats
import Foundation
import Hooks
import MoEModel
import Tokenizers
import Traces

/// What a trace is to contain.
public struct TraceOptions: Sendable {
    /// How router logits are stored; nil leaves them out.
    public var routerLogits: TraceManifest.Capture.LogitFormat? = .f32
    public var attentionSummary = false
    /// Whether the most probable next token of every row is kept.
    public var predicted = false
    /// How many layers ahead experts are guessed from the residual stream; empty: not at all.
    public var speculative: [Int] = []
    /// Names of further columns, of `TraceColumn.named`.
    public var columns: [String] = []
    /// (layer, head) pairs whose whole patterns are kept.
    public var patterns: [(layer: Int, head: Int)] = []
    /// Layers to record; nil: all.
    public var layers: [Int]?
    /// Documents are cut to this many tokens, BOS included; nil: to the model's context.
    public var maximumTokens: Int?
    /// Most tokens per wave; documents stay whole, so one longer document is a wave of its own. nil: as many as fit
    /// `memory`, but no more than are useful.
    public var waveTokens: Int?
    /// Bytes the run may take for weights, working memory and records; nil: three quarters of what is free.
    public var memory: Int?
    public var interventions: [Intervention] = []

    /// The distances of `--capture speculative`: those of arXiv 2312.17238.
    public static let speculativeDistances = [1, 2, 10]

    public init() {}
}

/// Runs a model over a corpus, wave by wave, and writes what its hooks see to a trace on disk.
public struct TraceRun {
    public struct Progress: Sendable {
        public var documents: Int
        public var totalDocuments: Int
        /// Tokens computed; the last wave's may still be on their way to disk, where they are when `run` returns or throws.
        public var tokens: Int
        public var totalTokens: Int
    }

    public let model: Model
    public let options: TraceOptions
    let tokenized: TokenizedCorpus
    let manifest: TraceManifest
    /// Most tokens per wave.
    public let waveTokens: Int
    /// Text of every token id, for the trace; nil without a tokenizer.
    private let vocabulary: TraceVocabulary?

    /// Tokenizes and checks everything, so that a run that cannot end does not start.
    ///
    /// - Parameter tokenizer: may be nil where every document gives its tokens.
    /// - Throws: `CorpusError` for tokens the model does not have or text without a tokenizer, `HookError` for layers
    ///   and heads out of range, `FileError` where the weights cannot be hashed.
    public init(
        model: Model, tokenizer: (any Tokenizer)?, corpus: Corpus, options: TraceOptions, version: String
    ) throws {
        self.model = model
        self.options = options
        tokenized = try TokenizedCorpus(
            corpus, tokenizer: tokenizer, config: model.config, maximumTokens: options.maximumTokens)
        vocabulary = tokenizer.map(TraceVocabulary.init)
        manifest = try Self.manifest(
            model: model, tokenizer: tokenizer, corpus: corpus, tokens: tokenized.tokens, options: options,
            version: version)
        _ = try Self.plan(options, manifest: manifest, model: model)
        let memory = options.memory ?? MachineMemory.available / 4 * 3
        // Predictions need all logits of a row at once.
        let logits = options.predicted ? 4 * model.config.vocabularySize : 0
        let fitting = model.waveRows(memory: memory, recordedBytesPerRow: TraceLayout(manifest).bytesPerToken + logits)
        waveTokens = options.waveTokens ?? min(fitting, Self.usefulWaveTokens)
    }

    /// Beyond this, experts are busy enough and a wave only takes memory, and longer until something is on disk.
    private static let usefulWaveTokens = 8192

    public var corpus: Corpus { tokenized.corpus }
    /// Tokens of each document, cut to the limit.
    public var tokens: [[Int32]] { tokenized.tokens }
    public var totalTokens: Int { tokenized.totalTokens }

    /// Bytes that a wave of `waveTokens` takes with everything else.
    public var plannedBytes: Int {
        let recorded = TraceLayout(manifest).bytesPerToken
        return model.residentWeightBytes + Model.processBytes
            + model.waveBytes(rows: min(waveTokens, totalTokens), recordedBytesPerRow: recorded)
    }

    /// Bytes the trace's shards will take, without attention patterns.
    public var projectedBytes: Int { totalTokens * TraceLayout(manifest).bytesPerToken }

    /// Bytes the attention patterns will take.
    public var projectedPatternBytes: Int {
        options.patterns.count * 2 * tokens.reduce(0) { $0 + $1.count * $1.count }
    }

    /// Runs what is not on disk yet and completes the trace.
    ///
    /// - Parameters:
    ///   - folder: the trace; created where it does not exist.
    ///   - resume: continue a partial trace of the same run; without it an existing trace is an error.
    ///   - progress: called after every wave, and before the first.
    ///   - working: called between the layers of a wave; its tokens are counted by the share of layers that they have passed.
    ///   - isCancelled: asked between layers; a cancelled run throws `CancellationError` and can be resumed.
    public func run(
        into folder: URL, resume: Bool = false, progress: (Progress) throws -> Void = { _ in },
        working: (Progress) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws {
        let writer =
            resume
            ? try TraceWriter(resuming: folder, manifest: manifest)
            : try TraceWriter(creating: folder, manifest: manifest)
        if let vocabulary { try writer.writeVocabulary(vocabulary) }
        let layout = TraceLayout(manifest)
        let plan = try Self.plan(options, manifest: manifest, model: model)
        let next = writer.completedDocuments
        var state = Progress(
            documents: next, totalDocuments: tokens.count, tokens: tokens[..<next].reduce(0) { $0 + $1.count },
            totalTokens: totalTokens)
        try progress(state)
        let background = BackgroundWriter(writer)
        // Also where a pass throws: the wave before it is complete, and stays. The thread that wrote it may keep the writer a little.
        defer {
            background.wait()
            writer.release()
        }
        for wave in tokenized.waves(of: waveTokens, from: next) {
            let shard = TraceShard(layout: layout, documents: wave.map(record))
            let batch = tokenized.batch(wave)
            let recorder = ShardRecorder(shard, model: model)
            let result = try model.forward(batch, plan: plan, observer: recorder) { layer in
                if isCancelled() { throw CancellationError() }
                var part = state
                part.tokens += batch.rowCount * layer / max(1, model.config.layerCount)
                working(part)
            }
            _ = shard.tokens.update(fromContentsOf: batch.tokens)
            _ = shard.logprobs.update(fromContentsOf: result.logprob)
            try background.append(shard)
            state.documents = wave.upperBound
            state.tokens += batch.rowCount
            try progress(state)
        }
        try background.finish()
        try model.checkUnchanged()
        try writer.finish()
    }

    private func record(_ index: Int) -> TraceDocument {
        let document = corpus.documents[index]
        return TraceDocument(
            id: document.id, group: document.group, textSHA256: document.contentSHA256,
            tokens: tokens[index].count, truncated: tokenized.truncated[index], parallelID: document.parallelID,
            cluster: document.cluster)
    }
}
