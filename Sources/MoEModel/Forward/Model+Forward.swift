import Checkpoints
import Hooks

/// What a forward pass gives besides what its hooks saw.
public struct ForwardResult: Sendable {
    /// [T] natural log of the probability of the token at each row, given the rows of its document before it; NaN in a
    /// document's first row. Empty where it was not asked for.
    public let logprob: [Float]
}

extension Model {
    /// Runs a batch through all layers, each layer for the whole batch before the next.
    ///
    /// - Parameters:
    ///   - plan: what is observed, edited and intervened on; checked before any computation.
    ///   - observer: sees the values of `plan.observed`.
    ///   - editor: may change the values of `plan.edited`.
    ///   - start: the residual stream entering a layer, from an earlier pass over the same batch; the layers before it
    ///     are not run, and a plan may not ask for their points. nil: from the embedding.
    ///   - logprobs: whether to compute log-probabilities (a product with the whole vocabulary).
    ///   - betweenLayers: called before each layer with its index; throw to stop the pass.
    /// - Throws: `ModelError` for tokens the model does not have, `HookError` for a plan it cannot meet, and whatever
    ///   an observer, an editor or `betweenLayers` throws.
    /// - Cost: 2 · (active parameters) floating-point operations per token, plus attention.
    public func forward(
        _ batch: TokenBatch, plan: HookPlan = .none, observer: (any HookObserver)? = nil,
        editor: (any HookEditor)? = nil, from start: LayerStart? = nil, logprobs: Bool = true,
        betweenLayers: (Int) throws -> Void = { _ in }
    ) throws -> ForwardResult {
        let hooks = try resolve(plan)
        try check(batch)
        return try lock.current.withLock {
            var pass = ForwardPass(model: self, batch: batch, hooks: hooks, observer: observer, editor: editor)
            try pass.run(from: start, betweenLayers: betweenLayers)
            let logprob = try pass.finish(logprobs: logprobs)
            try pass.hooks.checkReached(plan)
            try checkpoint.checkReadable()
            return ForwardResult(logprob: logprob)
        }
    }

    /// Runs one document's next rows through all layers, reading and extending its cache; `logits` become the last row's.
    /// - Returns: where asked for, every row's log-probability, NaN in the first; otherwise nothing.
    func extend(
        _ cache: KeyValueCache, with context: RowContext, plan: HookPlan, observer: (any HookObserver)?,
        editor: (any HookEditor)?, into logits: inout [Float], logprobs: Bool = false
    ) throws -> [Float] {
        let hooks =
            plan.isEmpty
            ? noHooks
            : try resolve(plan)
        let batch = context.batch
        try check(batch)
        return try lock.current.withLock {
            cache.reserve(batch.rowCount)
            var pass = ForwardPass(
                model: self, batch: batch, hooks: hooks, observer: observer, editor: editor, cache: cache,
                context: context)
            try pass.run { _ in }
            try pass.lastLogits(into: &logits)
            let logprob = logprobs ? try pass.logProbabilities(nil) : []
            try pass.hooks.checkReached(plan)
            try checkpoint.checkReadable()
            cache.commit(batch.rowCount)
            return logprob
        }
    }

    /// A pass that is run for its activations alone.
    func run(
        _ batch: TokenBatch, statistics: ActivationStatistics, betweenLayers: (Int) throws -> Void
    ) throws {
        let hooks = try resolve(.none)
        try check(batch)
        try lock.current.withLock {
            var pass = ForwardPass(model: self, batch: batch, hooks: hooks, observer: nil, editor: nil)
            pass.statistics = statistics
            try pass.run(betweenLayers: betweenLayers)
            _ = try pass.finish(logprobs: false)
            try checkpoint.checkReadable()
        }
    }

    /// A plan checked against this model.
    private func resolve(_ plan: HookPlan) throws(HookError) -> ResolvedHooks {
        try plan.resolved(
            layerCount: config.layerCount, headCount: config.attention.headCount, expertCount: config.experts.count,
            expertLayers: config.expertLayers, hasSinks: config.attention.hasSinks,
            hasLatent: config.attention.latent != nil)
    }

    private func check(_ batch: TokenBatch) throws(ModelError) {
        for (row, token) in batch.tokens.enumerated() where token < 0 || Int(token) >= config.vocabularySize {
            throw .tokenOutOfRange(token: token, row: row, vocabularySize: config.vocabularySize)
        }
        for (index, document) in batch.documents.enumerated() where document.count > config.contextLength {
            throw .contextExceeded(document: index, tokens: document.count, contextLength: config.contextLength)
        }
    }
}
