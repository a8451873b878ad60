import Checkpoints
import Hooks
import Tensors

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
        return try turn.take {
            var pass = ForwardPass(
                model: self, batch: batch, hooks: HookDispatch(hooks, observer: observer, editor: editor))
            try pass.run(from: start, betweenLayers: betweenLayers)
            let logprob = try pass.finish(logprobs: logprobs)
            try pass.hooks.checkReached(plan)
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
        return try turn.take {
            cache.reserve(batch.rowCount)
            var pass = ForwardPass(
                model: self, batch: batch, hooks: HookDispatch(hooks, observer: observer, editor: editor), cache: cache,
                context: context)
            try pass.run { _ in }
            try pass.lastLogits(into: &logits)
            let logprob = logprobs ? try pass.logProbabilities(nil) : []
            try pass.hooks.checkReached(plan)
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
        try turn.take {
            var pass = ForwardPass(model: self, batch: batch, hooks: HookDispatch(hooks, observer: nil, editor: nil))
            pass.statistics = statistics
            try pass.run(betweenLayers: betweenLayers)
            _ = try pass.finish(logprobs: false)
        }
    }

    /// A plan checked against this model.
    private func resolve(_ plan: HookPlan) throws(HookError) -> ResolvedHooks {
        try plan.resolved(
            layerCount: config.layerCount, headCount: config.attention.headCount, expertCount: config.experts.count,
            expertLayers: config.expertLayers)
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

/// One pass over one batch.
///
/// T token rows (documents packed) · D hidden · H query heads · G key/value heads · d head size · E experts ·
/// W choices per row · V vocabulary.
struct ForwardPass {
    let model: Model
    let config: ModelConfig
    let kernels: Kernels
    let workspace: Workspace
    let batch: TokenBatch
    let context: RowContext
    var hooks: HookDispatch
    /// Where inputs of products are summed, if they are.
    var statistics: ActivationStatistics?
    /// Keys and values of the rows before this batch, where it continues a text.
    let cache: KeyValueCache?
    /// Position of each document's first row.
    let startPosition: Int
    /// Choices kept per row, W.
    let width: Int

    /// Residual stream, [T, D].
    let x: Matrix
    /// Input of attention or experts after its norm, [T, D].
    let normed: Matrix
    /// Output of attention or experts, before it joins the residual stream, [T, D].
    let branch: Matrix

    init(
        model: Model, batch: TokenBatch, hooks: HookDispatch, cache: KeyValueCache? = nil, context: RowContext? = nil
    ) {
        self.model = model
        self.batch = batch
        self.hooks = hooks
        self.cache = cache
        startPosition = cache?.count ?? 0
        config = model.config
        kernels = model.kernels
        width = Router.width(expertsPerToken: config.expertsPerToken, hooks.hooks.interventions.flatMap { $0 })
        workspace = model.workspace
        self.context = context ?? RowContext(batch, startPosition: startPosition)
        x = workspace.matrix(.residual, rows: batch.rowCount, columns: config.hiddenSize)
        normed = workspace.matrix(.normed, rows: batch.rowCount, columns: config.hiddenSize)
        branch = workspace.matrix(.branch, rows: batch.rowCount, columns: config.hiddenSize)
    }

    mutating func run(from start: LayerStart? = nil, betweenLayers: (Int) throws -> Void) throws {
        let (rows, hidden) = (x.rows, x.columns)
        if let start {
            start.copy(to: x)
        } else {
            kernels.embed(batch.tokens, model.weights.tensors.embedding, into: x)
            if config.multipliers.embedding != 1 { kernels.scale(x, by: config.multipliers.embedding) }
            try hooks.emit(.embed, nil, x.base, [rows, hidden])
        }

        for (layer, weights) in model.weights.layers.enumerated() where layer >= start?.layer ?? 0 {
            try betweenLayers(layer)
            model.stream.enter(layer)
            try hooks.emit(.residPre, layer, x.base, [rows, hidden])

            kernels.norm(x, weights.attentionNorm, config, into: normed)
            try attend(layer, weights)
            try hooks.emit(.attentionOut, layer, branch.base, [rows, hidden])
            kernels.add(branch, times: config.multipliers.residual, to: x)
            try hooks.emit(.residMid, layer, x.base, [rows, hidden])

            kernels.norm(x, weights.feedForwardNorm, config, into: normed)
            if let experts = weights.experts {
                let routing = try route(layer, experts)
                let dispatch = ExpertDispatch(routing, workspace)
                let outputs = self.experts(layer, dispatch, experts.tensors)
                try emitExpertOutputs(layer, outputs, dispatch)
                combine(outputs, dispatch)
                if let shared = weights.tensors.sharedExpert { addSharedExpert(layer, shared, weights.sharedRouter) }
            } else if let dense = weights.tensors.dense {
                feedForward(layer, dense)
            }
            try hooks.emit(.moeOut, layer, branch.base, [rows, hidden])
            kernels.add(branch, times: config.multipliers.residual, to: x)
            try hooks.emit(.residPost, layer, x.base, [rows, hidden])
        }
        model.stream.finish()
    }
}

extension RowContext {
    init(_ batch: TokenBatch, startPosition: Int) {
        var positions = [Int32](repeating: 0, count: batch.rowCount)
        var documents = positions
        for (index, rows) in batch.documents.enumerated() {
            for row in rows {
                positions[row] = Int32(startPosition + row - rows.lowerBound)
                documents[row] = Int32(index)
            }
        }
        self.init(batch: batch, positions: positions, documents: documents)
    }
}
