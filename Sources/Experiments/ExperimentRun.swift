import Checkpoints
import Foundation
import Hooks
import MoEModel
import RoutingMetrics
import Tokenizers
import Traces
import Tracing

/// Runs the untouched model and every variant over the same documents, wave by wave.
///
/// A variant is computed from the layer of its first change on; what comes before is the untouched model's. It runs over the
/// scored documents of the groups that it names. Results are
/// appended to `nll.jsonl` after every pass, so that an interrupted run goes on where it stopped.
public struct ExperimentRun {
    public static let baseline = "baseline"

    public let model: Model
    public let corpus: Corpus
    let tokenized: TokenizedCorpus
    /// Tokens of each document.
    public var tokens: [[Int32]] { tokenized.tokens }
    private let waveTokens: Int
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
        self.waveTokens = waveTokens ?? 4096
    }

    public var groups: [String] { Set(corpus.documents.map(\.group)).sorted() }

    /// Documents that run together.
    struct Wave {
        /// Their numbers in the corpus.
        var documents: [Int]
        /// The number of the first of them in the order in which all run: what random routing depends on.
        var place: Int
        /// nil where groups run together.
        var group: String?
    }

    /// - Parameter isByGroup: whether no wave holds documents of two groups.
    private func waves(of documents: [Int], isByGroup: Bool = false) -> [Wave] {
        let groupOf = corpus.documents.map(\.group)
        let parts: [(String?, [Int])] =
            isByGroup
            ? groups.map { group in (group, documents.filter { groupOf[$0] == group }) } : [(nil, documents)]
        var place = 0
        return parts.flatMap { group, members in
            Waves.pack(members.map { tokens[$0].count }, waveTokens).map { range in
                defer { place += range.count }
                return Wave(documents: Array(members[range]), place: place, group: group)
            }
        }
    }

    private func batch(_ wave: Wave) -> TokenBatch {
        TokenBatch(
            wave.documents.map { tokens[$0] }, groups: wave.documents.map { corpus.documents[$0].group },
            firstDocument: wave.place)
    }

    /// How the untouched model routes every group: one pass over the documents, without log-probabilities.
    /// - Parameter documents: their numbers; nil: all.
    public func survey(of documents: [Int]? = nil, isCancelled: () -> Bool = { false }) throws -> RoutingSurvey {
        let documents = documents ?? Array(tokens.indices)
        var lengths: [String: Int] = [:]
        for document in documents {
            lengths[corpus.documents[document].group, default: 0] += tokens[document].count - 1
        }
        let counter = RoutingCounter(
            experts: model.config.experts.count, expertsPerToken: model.config.expertsPerToken, tokens: lengths)
        var plan = HookPlan()
        for layer in model.config.expertLayers { plan.observed.insert(HookPoint(.expertIndices, layer: layer)) }
        for wave in waves(of: documents) {
            let batch = batch(wave)
            counter.start(batch)
            _ = try model.forward(batch, plan: plan, observer: counter, logprobs: false) { _ in
                if isCancelled() { throw CancellationError() }
            }
        }
        return counter.survey
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
        for document in (plan.split?.choosing ?? []) + (plan.split?.scored ?? [])
        where !tokens.indices.contains(document) {
            throw ExperimentError(
                file: "",
                reason: "plan: field split: there is no document \(document), the corpus has \(tokens.count)")
        }
        let waves = waves(
            of: plan.split?.scored ?? Array(tokens.indices), isByGroup: plan.arms.contains { $0.groups != nil })
        let store = try ExperimentStore(
            folder,
            identity: ExperimentIdentity(
                plan: plan, model: model, weights: sha256, corpus: corpus, tokens: tokens),
            waves: waves.map(\.documents), lengths: tokens.map(\.count), resume: resume)
        let variants = plan.arms.map { Variant($0, layers: model.config.expertLayers) }
        func arms(of wave: Wave) -> [Variant] {
            variants.filter { arm in arm.groups.map { wave.group.map($0.contains) ?? false } ?? true }
        }
        let total = waves.reduce(0) { $0 + arms(of: $1).count + 1 }
        var done = 0
        for wave in waves {
            try progress(done, total)
            let planned = arms(of: wave)
            let first = wave.documents[0]
            let waiting = planned.filter { !store.has($0.name, first) }
            guard !waiting.isEmpty || !store.has(Self.baseline, first) else {
                done += planned.count + 1
                continue
            }
            done += planned.count - waiting.count
            let batch = batch(wave)
            func stopIfCancelled(_: Int) throws { if isCancelled() { throw CancellationError() } }
            // The untouched pass, with the residual stream where variants start, and the routing of what they take away.
            let keeper = HookRecorder()
            var hooks = HookPlan()
            for arm in waiting {
                if arm.first > 0 { hooks.observed.insert(HookPoint(.residPre, layer: arm.first)) }
                for layer in (arm.ablated ?? [:]).keys {
                    hooks.observed.insert(HookPoint(.expertIndices, layer: layer))
                    hooks.observed.insert(HookPoint(.expertWeights, layer: layer))
                }
            }
            let untouched = try model.forward(batch, plan: hooks, observer: keeper, betweenLayers: stopIfCancelled)
            try store.add(Self.baseline, wave.documents, batch, untouched.logprob)
            done += 1
            for arm in waiting {
                try progress(done, total)
                var hooks = HookPlan()
                hooks.interventions = arm.interventions
                let start = keeper.floats(HookPoint(.residPre, layer: arm.first)).map {
                    LayerStart(layer: arm.first, residual: $0)
                }
                let result = try model.forward(batch, plan: hooks, from: start, betweenLayers: stopIfCancelled)
                let load = arm.ablated.map { ablated in
                    AblatedLoad(
                        ablated, documents: batch.documents,
                        indices: { keeper.indices(HookPoint(.expertIndices, layer: $0)) ?? [] },
                        weights: { keeper.floats(HookPoint(.expertWeights, layer: $0)) ?? [] })
                }
                try store.add(arm.name, wave.documents, batch, result.logprob, load: load)
                done += 1
            }
        }
        try progress(total, total)
        try model.checkUnchanged()
        return store.likelihoods(plan.arms.map(\.name), documents: tokens.count)
    }
}

/// An arm as it runs.
private struct Variant {
    let name: String
    let interventions: [Intervention]
    /// The first layer that any of them touches.
    let first: Int
    let groups: [String]?
    /// Experts by layer, where the arm only takes experts away.
    let ablated: [Int: Set<Int>]?

    /// - Parameter layers: the layers of the model that have a router.
    init(_ arm: ExperimentPlan.Arm, layers: [Int]) {
        name = arm.name
        interventions = arm.changes
        first = arm.changes.map { $0.scope.layers?.min() ?? 0 }.min() ?? 0
        groups = arm.groups
        ablated = arm.ablatedExperts(layers: layers)
    }
}

/// Counts tokens by group, layer and expert, and keeps a sample of their sets; first tokens left out.
private final class RoutingCounter: HookObserver {
    private(set) var survey: RoutingSurvey
    /// Of each group, one token in so many is kept.
    private let strides: [String: Int]
    /// Tokens of each group in waves before this one.
    private var before: [String: Int] = [:]
    private var batch = TokenBatch([])

    init(experts: Int, expertsPerToken: Int, tokens: [String: Int]) {
        survey = RoutingSurvey(experts: experts, expertsPerToken: expertsPerToken, tokens: tokens, layers: [:])
        strides = tokens.mapValues { ($0 + RoutingSurvey.sampledSets - 1) / RoutingSurvey.sampledSets }
    }

    func start(_ batch: TokenBatch) {
        for (group, rows) in zip(self.batch.groups, self.batch.documents) {
            before[group, default: 0] += rows.count - 1
        }
        self.batch = batch
    }

    func observe(_ point: HookPoint, _ value: borrowing HookValue) throws {
        guard let layer = point.layer else { return }
        let K = survey.expertsPerToken
        var counted = before
        value.withIndices { indices in
            for (group, rows) in zip(batch.groups, batch.documents) {
                let stride = max(1, strides[group] ?? 1)
                var found = survey.layers[group]?[layer] ?? .init(experts: survey.experts)
                // The only reference, so that adding copies nothing.
                survey.layers[group]?[layer] = nil
                for row in rows.dropFirst() {
                    let chosen = indices[row * K..<(row + 1) * K]
                    for expert in chosen where (0..<survey.experts).contains(Int(expert)) {
                        found.meeting[Int(expert)] += 1
                    }
                    if counted[group, default: 0] % stride == 0 {
                        found.sets += chosen.map { UInt16(truncatingIfNeeded: $0) }
                    }
                    counted[group, default: 0] += 1
                }
                survey.layers[group, default: [:]][layer] = found
            }
        }
    }
}
