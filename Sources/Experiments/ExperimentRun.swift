import Checkpoints
import Foundation
import Hooks
import MoEModel
import RoutingMetrics
import Tokenizers
import Tracing

/// Runs the untouched model and every variant over the same documents, wave by wave.
///
/// A variant is computed from the layer of its first change on; what comes before is the untouched model's. Results are
/// appended to `nll.jsonl` after every pass, so that an interrupted run goes on where it stopped.
public struct ExperimentRun {
    public static let baseline = "baseline"

    public let model: Model
    public let corpus: Corpus
    let tokenized: TokenizedCorpus
    /// Tokens of each document.
    public var tokens: [[Int32]] { tokenized.tokens }
    let waves: [Range<Int>]
    let sha256: String

    /// - Parameters:
    ///   - maximumTokens: documents are cut to this many; nil: to the model's context.
    ///   - maximumDocuments: at most this many documents of each group; nil: all.
    public init(
        model: Model, tokenizer: (any Tokenizer)?, corpus: Corpus, maximumTokens: Int? = nil,
        maximumDocuments: Int? = nil, waveTokens: Int? = nil
    ) throws {
        var corpus = corpus
        if let maximumDocuments {
            var seen: [String: Int] = [:]
            corpus.documents = corpus.documents.filter {
                seen[$0.group, default: 0] += 1
                return seen[$0.group, default: 0] <= maximumDocuments
            }
        }
        let tokenized = try TokenizedCorpus(
            corpus, tokenizer: tokenizer, config: model.config, maximumTokens: maximumTokens)
        self.model = model
        self.corpus = corpus
        self.tokenized = tokenized
        sha256 = try model.checkpoint.sha256()
        waves = tokenized.waves(of: waveTokens ?? 4096)
    }

    public var groups: [String] { Set(corpus.documents.map(\.group)).sorted() }

    /// How the untouched model routes every group: one pass over the documents, without log-probabilities.
    public func survey(isCancelled: () -> Bool = { false }) throws -> RoutingSurvey {
        let counter = AssignmentCounter(layers: model.config.layerCount, experts: model.config.experts.count)
        var plan = HookPlan()
        for layer in model.config.expertLayers { plan.observed.insert(HookPoint(.expertIndices, layer: layer)) }
        for wave in waves {
            let batch = tokenized.batch(wave)
            counter.start(batch)
            _ = try model.forward(batch, plan: plan, observer: counter, logprobs: false) { _ in
                if isCancelled() { throw CancellationError() }
            }
        }
        return RoutingSurvey(groups: groups, frequencies: counter.frequencies)
    }

    /// Runs what is not in the folder yet.
    ///
    /// - Parameters:
    ///   - folder: made where it does not exist; gets `plan.json` and `nll.jsonl`.
    ///   - resume: continue there; the plan must be the same.
    ///   - progress: passes done, and passes in all.
    /// - Returns: sums of negative log-likelihood and tokens by arm and document.
    public func run(
        _ plan: ExperimentPlan, into folder: URL, resume: Bool = false,
        progress: (Int, Int) throws -> Void = { _, _ in }, isCancelled: () -> Bool = { false }
    ) throws -> ExperimentLikelihoods {
        let store = try ExperimentStore(
            folder, plan: plan, model: sha256, corpus: corpus.sha256, waves: waves,
            lengths: tokens.map(\.count), precision: model.precision.rawValue, resume: resume)
        let arms: [(name: String, interventions: [Intervention], first: Int)] = plan.arms.map { arm in
            // The first layer any of them touches.
            let first = arm.changes.map { $0.scope.layers?.min() ?? 0 }.min() ?? 0
            return (arm.name, arm.changes, first)
        }
        let total = waves.count * (arms.count + 1)
        var done = 0
        for wave in waves {
            try progress(done, total)
            let waiting = arms.filter { !store.has($0.name, wave.lowerBound) }
            guard !waiting.isEmpty || !store.has(Self.baseline, wave.lowerBound) else {
                done += arms.count + 1
                continue
            }
            done += arms.count - waiting.count
            let batch = tokenized.batch(wave)
            func stopIfCancelled(_: Int) throws { if isCancelled() { throw CancellationError() } }
            // The untouched pass, with the residual stream where variants start.
            let keeper = HookRecorder()
            var hooks = HookPlan()
            for arm in waiting where arm.first > 0 { hooks.observed.insert(HookPoint(.residPre, layer: arm.first)) }
            let untouched = try model.forward(batch, plan: hooks, observer: keeper, betweenLayers: stopIfCancelled)
            try store.add(Self.baseline, wave, batch, untouched.logprob)
            done += 1
            for arm in waiting {
                try progress(done, total)
                var hooks = HookPlan()
                hooks.interventions = arm.interventions
                let start = keeper.floats(HookPoint(.residPre, layer: arm.first)).map {
                    LayerStart(layer: arm.first, residual: $0)
                }
                let result = try model.forward(batch, plan: hooks, from: start, betweenLayers: stopIfCancelled)
                try store.add(arm.name, wave, batch, result.logprob)
                done += 1
            }
        }
        try progress(total, total)
        return store.likelihoods(arms: plan.arms.map(\.name), documents: tokens.count)
    }
}

/// Counts assignments by group, layer and expert, first tokens left out.
private final class AssignmentCounter: HookObserver {
    private let layers: Int
    private let experts: Int
    private var batch = TokenBatch([])
    private var counts: [String: [[Double]]] = [:]
    private var tokens: [String: Double] = [:]

    init(layers: Int, experts: Int) {
        self.layers = layers
        self.experts = experts
    }

    func start(_ batch: TokenBatch) {
        self.batch = batch
        for (group, rows) in zip(batch.groups, batch.documents) { tokens[group, default: 0] += Double(rows.count - 1) }
    }

    func observe(_ point: HookPoint, _ value: borrowing HookValue) throws {
        guard let layer = point.layer else { return }
        let width = value.shape.last ?? 1
        value.withIndices { indices in
            for (group, rows) in zip(batch.groups, batch.documents) {
                var table = counts[group] ?? Array(repeating: Array(repeating: 0, count: experts), count: layers)
                counts[group] = nil
                for place in (rows.lowerBound + 1) * width..<max(rows.upperBound * width, (rows.lowerBound + 1) * width)
                {
                    let expert = Int(indices[place])
                    if (0..<experts).contains(expert) { table[layer][expert] += 1 }
                }
                counts[group] = table
            }
        }
    }

    var frequencies: [String: [[Double]]] {
        counts.reduce(into: [:]) { result, item in
            let total = max(1, tokens[item.key] ?? 0)
            result[item.key] = item.value.map { $0.map { $0 / total } }
        }
    }
}
