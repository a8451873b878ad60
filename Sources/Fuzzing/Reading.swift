import Checkpoints
import Experiments
import FileFormats
import Foundation
import MoEModel
import Quantization
import ReportGenerator
import RoutingMetrics
import Synchronization
import Tokenizers
import Traces
import Tracing

/// Reads an input as the commands read it, to the end: what is opened is also run, counted, drawn and decoded.
struct Reading {
    let fixtures: URL
    /// Where the input is. What reading writes goes to `output` beside it.
    let folder: URL
    /// Chooses between ways to read, where one input has several.
    let index: Int

    private var output: URL { folder.deletingLastPathComponent().appending(path: "output") }

    /// - Throws: what the readers throw: the input is refused.
    func read(_ format: Format, seed: Seed) throws {
        switch format {
        case .safetensors:
            if seed.files["config.json"] != nil { return try model(folder) }
            for tensor in try SafetensorsFile(folder.appending(path: seed.targets[0])).tensors {
                _ = tensor.bytes.last
            }
        case .gguf: try gguf(folder.appending(path: seed.targets[0]))
        case .config:
            let url = folder.appending(path: "config.json")
            let config = try Checkpoint.config(url)
            _ = (config.parametersTotal, config.parametersActive)
            if seed.files["model.safetensors"] != nil { try model(folder) }
        case .index: try model(folder)
        case .tokenizerJSON: try tokenizer(folder.appending(path: "tokenizer.json"))
        case .tokenizerModel: try tokenizer(folder.appending(path: "tokenizer.model"))
        case .importance: _ = try ImportanceMatrix(folder.appending(path: "m.gguf"))
        case .corpus: try corpus(folder.appending(path: seed.files["c.jsonl"] == nil ? "c" : "c.jsonl"))
        case .manifest, .documents, .shards, .attention, .vocabulary: try trace(folder)
        case .experiment:
            let run = try Self.knownRun.withLock { known in
                let run = try known ?? Self.experimentRun(fixtures)
                known = run
                return run
            }
            try experiment(run)
        }
    }

    // MARK: Models

    private func gguf(_ url: URL) throws {
        let file = try GGUFFile(url)
        for tensor in file.tensors { _ = tensor.bytes.last }
        let hasVocabulary = file.metadata["tokenizer.ggml.tokens"] != nil
        if hasVocabulary { try? tokenizer(url) }
        try model(url)
    }

    private func model(_ url: URL) throws {
        let checkpoint = try Checkpoint.open(url)
        _ = checkpoint.notes()
        _ = try? checkpoint.endTokens()
        let model = try Model(checkpoint, precision: index % 2 == 0 ? .exact : .fast, threads: 1)
        let tokens = [1, 2, 3].map { Int32(min($0, model.config.vocabularySize - 1)) }
        _ = try model.forward(TokenBatch([tokens, [tokens[0]]]))
        let session = try Session(model)
        _ = try session.append(tokens)
        if index % 8 == 0 {
            let mix = QuantizationMix.allCases[index / 8 % QuantizationMix.allCases.count]
            try GGUFExport(whole: checkpoint, mix: mix).write(to: output.appending(path: "q.gguf"))
        }
    }

    private func tokenizer(_ url: URL) throws {
        let tokenizer = try TokenizerFile.open(url)
        for text in Self.texts {
            let ids = tokenizer.tokens(of: text)
            _ = tokenizer.decode(ids)
            _ = tokenizer.encode(markup: text)
        }
        let pieces = (0..<Int32(clamping: tokenizer.vocabularySize)).map { tokenizer.piece($0) }
        _ = TokenText(pieces: pieces, kind: tokenizer.kind).alone(1)
        let ids = [-1, 0, 1, 2, 255, 256, tokenizer.vocabularySize - 1, tokenizer.vocabularySize, Int(Int32.max)]
        for id in ids { _ = tokenizer.text(Int32(truncatingIfNeeded: id)) }
        _ = tokenizer.decode(0..<Int32(clamping: min(tokenizer.vocabularySize, 2000)))
    }

    private static let texts = [
        "", "Der Rauch steigt auf, 12345 mal.\n\n  <s>[INST] x [/INST]</s>", String(repeating: "a", count: 300),
        "e\u{301}\u{301}\u{301} ﷺ שלום 💥👩‍👩‍👧 \u{0}\u{202E}", String(repeating: "<", count: 200),
    ]

    // MARK: Corpora

    private func corpus(_ url: URL) throws {
        let corpus = try Corpus.read(url.path)
        _ = try? TokenizedCorpus(
            corpus, tokenizer: try TokenizerFile.open(fixtures.appending(path: "tokenizers/metaspace.json")),
            config: try Checkpoint.config(fixtures.appending(path: "parity/long")))
    }

    // MARK: Traces

    private var settings: MetricSettings {
        MetricSettings(
            grouping: index % 5 == 0 ? .length : .group, positions: index % 7 == 0 ? .all : .prompt, bootstrap: 3,
            permutations: 5, minimumDocuments: index % 3 == 0 ? 1 : 5, threads: 1)
    }

    private func trace(_ folder: URL) throws {
        if index % 3 == 0 { _ = try? Trace.verify(folder) }
        let trace = try Trace(folder: folder)
        for shard in 0..<trace.shardCount { _ = try trace.shard(shard) }
        for place in try trace.attentionPatterns().prefix(100) {
            _ = try trace.attentionPattern(document: place.document, layer: place.layer, head: place.head)
        }
        _ = try trace.tokenText()?.alone(1)
        // A report takes as long as a hundred traces that are only opened.
        if index % 48 < 2 { try report(trace) }
    }

    private func report(_ trace: Trace, experiment: RecordedExperiment? = nil) throws {
        var report = Report(trace: trace, metrics: try ReportMetrics(trace, settings: settings))
        report.experiment = experiment
        if index / 48 % 3 == 0 { _ = TerminalSummary(report, colour: false).text }
        if index / 48 % 3 == 1 { try report.writeTables(to: output.appending(path: "tables")) }
        if index / 48 % 3 == 2 { try report.writePage(to: output.appending(path: "page.html"), tables: nil) }
    }

    // MARK: Experiments

    /// The run that the experiment's seed comes from.
    static func experimentRun(_ fixtures: URL) throws -> ExperimentRun {
        let model = try Model(
            try Checkpoint.open(fixtures.appending(path: "parity/long")), precision: .exact, threads: 1)
        let documents = (0..<8).map { number in
            Corpus.Document(
                id: "d\(number)", group: number % 2 == 0 ? "a" : "b",
                content: .tokens((0..<4).map { Int32(1 + (number * 5 + $0 * 3) % 20) }))
        }
        return try ExperimentRun(
            model: model, tokenizer: nil, corpus: Corpus(source: "seed", documents: documents), waveTokens: 8)
    }

    /// Made once in a process: it does not depend on the input.
    private static let knownRun = Mutex<ExperimentRun?>(nil)

    static func result(_ run: ExperimentRun, into folder: URL, resume: Bool) throws -> ExperimentResult {
        var design = ExperimentPlan.Design(layers: Array(run.model.config.expertLayers.prefix(2)))
        design.randomControls = 2
        let plan = try run.plan(.ablation, design)
        let likelihoods = try run.run(plan, into: folder, resume: resume)
        return ExperimentResult(
            plan, likelihoods, groupOf: run.corpus.documents.map(\.group), ids: run.corpus.documents.map(\.id),
            settings: MetricSettings(bootstrap: 3, permutations: 5, minimumDocuments: 1, threads: 1))
    }

    private func experiment(_ run: ExperimentRun) throws {
        _ = try? ExperimentPlan.read(folder.appending(path: "plan.json"))
        let recorded = Result { try RecordedExperiment(folder: folder) }
        if index % 48 < 2, case .success(let experiment) = recorded {
            try report(try Trace(folder: fixtures.appending(path: "routing-trace")), experiment: experiment)
        }
        _ = try Self.result(run, into: folder, resume: true)
        _ = try recorded.get()
    }
}
