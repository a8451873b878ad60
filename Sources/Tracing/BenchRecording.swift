import Foundation
import Hooks
import MoEModel
import Traces

/// One wave with the hooks of a trace, again and again, for measuring what recording costs.
public struct BenchRecording {
    private let batch: TokenBatch
    private let plan: HookPlan
    private let manifest: TraceManifest
    private let documents: [TraceDocument]

    /// - Throws: `HookError` for layers and heads that the model does not have.
    public init(_ model: Model, _ options: TraceOptions, batch: TokenBatch) throws {
        self.batch = batch
        let tokens = batch.documents.map { Array(batch.tokens[$0]) }
        let corpus = Corpus(
            source: "benchmark",
            documents: tokens.enumerated().map { index, tokens in
                Corpus.Document(id: "\(index)", group: "", content: .tokens(tokens))
            })
        manifest = try TraceRun.manifest(
            model: model, tokenizer: nil, corpus: corpus, tokens: tokens, options: options, version: "bench",
            hashingWeights: false)
        plan = try TraceRun.plan(options, manifest: manifest, model: model)
        documents = tokens.enumerated().map { index, tokens in
            TraceDocument(id: "\(index)", group: "", textSHA256: "", tokens: tokens.count)
        }
    }

    /// A trace that runs can be appended to: one shard each, so it is never complete.
    public func writer(in folder: URL) throws -> TraceWriter { try TraceWriter(creating: folder, manifest: manifest) }

    /// Runs the wave, records it and, where there is a writer, puts it on disk.
    public func run(_ model: Model, logprobs: Bool, writer: TraceWriter?) throws {
        let shard = TraceShard(layout: TraceLayout(manifest), documents: documents)
        let recorder = ShardRecorder(shard, model: model)
        let result = try model.forward(batch, plan: plan, observer: recorder, logprobs: logprobs)
        _ = shard.tokens.update(fromContentsOf: batch.tokens)
        if logprobs { _ = shard.logprobs.update(fromContentsOf: result.logprob) }
        try writer?.append(shard)
    }
}
