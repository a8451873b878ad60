import Hooks
import MoEModel
import Traces

/// The hooks and memory of a trace, for measuring what recording costs without writing files.
public struct BenchRecording {
    public let plan: HookPlan
    public let observer: any HookObserver

    public init(_ model: Model, _ options: TraceOptions, batch: TokenBatch) throws {
        let corpus = Corpus(
            source: "benchmark",
            documents: batch.documents.enumerated().map { index, rows in
                Corpus.Document(id: "\(index)", group: "", content: .tokens(Array(batch.tokens[rows])))
            })
        let manifest = try TraceRun.manifest(
            model: model, tokenizer: nil, corpus: corpus, tokens: batch.documents.map { Array(batch.tokens[$0]) },
            options: options, version: "bench", hashingWeights: false)
        plan = try TraceRun.plan(options, manifest: manifest, model: model)
        let documents = batch.documents.enumerated().map { index, rows in
            TraceDocument(id: "\(index)", group: "", textSHA256: "", tokens: rows.count)
        }
        observer = ShardRecorder(
            TraceShard(layout: TraceLayout(manifest), documents: documents), layers: manifest.capture.layers,
            model: model)
    }
}
