import Checkpoints
import Hooks
import Tensors

/// One pass over one batch: every layer for the whole batch before the next.
///
/// T token rows (documents packed) · D hidden · H query heads · G key/value heads · d head size · E experts ·
/// W choices per row · V vocabulary.
struct ForwardPass {
    let model: Model
    let config: ModelConfig
    let backend: Backend
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
    /// Output of attention or experts before it is added to the residual stream, [T, D].
    let branch: Matrix

    init(
        model: Model, batch: TokenBatch, hooks: ResolvedHooks, observer: (any HookObserver)?, editor: (any HookEditor)?,
        cache: KeyValueCache? = nil, context: RowContext? = nil
    ) {
        self.model = model
        self.batch = batch
        self.cache = cache
        startPosition = cache?.count ?? 0
        config = model.config
        backend = model.backend
        width = Self.width(expertsPerToken: config.expertsPerToken, hooks.interventions.flatMap { $0 })
        self.hooks = HookDispatch(
            hooks,
            sizes: .init(heads: config.attention.headCount, groups: config.attention.keyValueHeadCount, choices: width),
            observer: observer, editor: editor)
        self.context = context ?? RowContext(batch, startPosition: startPosition)
        x = backend.workspace.matrix(.residual, rows: batch.rowCount, columns: config.hiddenSize)
        normed = backend.workspace.matrix(.normed, rows: batch.rowCount, columns: config.hiddenSize)
        branch = backend.workspace.matrix(.branch, rows: batch.rowCount, columns: config.hiddenSize)
    }

    /// Memory of a value of this pass.
    func matrix(_ slot: Workspace.Slot, rows: Int? = nil, columns: Int) -> Matrix {
        backend.workspace.matrix(slot, rows: rows ?? x.rows, columns: columns)
    }

    mutating func run(from start: LayerStart? = nil, betweenLayers: (Int) throws -> Void) throws {
        if let start {
            backend.write(start.residual, to: x)
        } else {
            backend.embed(batch.tokens, model.weights.tensors.embedding, into: x)
            try hooks.emit(.embedTokens, nil, x)
            if config.multipliers.embedding != 1 { backend.scale(x, by: config.multipliers.embedding) }
            try hooks.emit(.embed, nil, x)
        }

        for (layer, weights) in model.weights.layers.enumerated() where layer >= start?.layer ?? 0 {
            try betweenLayers(layer)
            model.stream.enter(layer, rows: batch.rowCount)
            try hooks.emit(.residPre, layer, x)

            norm(x, weights.attentionNorm, into: normed)
            try attend(layer, weights)
            try hooks.emit(.attentionOut, layer, branch)
            try addBranch(.attentionAdded, layer, after: weights.attentionPostNorm)
            try hooks.emit(.residMid, layer, x)

            norm(x, weights.feedForwardNorm, into: normed)
            if let experts = weights.experts {
                let routing = try route(layer, experts)
                let dispatch = backend.dispatch(routing)
                let outputs = self.experts(layer, dispatch, experts)
                try emitExpertOutputs(layer, outputs, dispatch)
                backend.combine(outputs, dispatch, into: branch)
                if let shared = weights.tensors.sharedExpert { addSharedExpert(layer, shared, weights.sharedRouter) }
            } else if let dense = weights.tensors.dense {
                feedForward(layer, dense)
            }
            try hooks.emit(.moeOut, layer, branch)
            try addBranch(.moeAdded, layer, after: weights.feedForwardPostNorm)
            try hooks.emit(.residPost, layer, x)
        }
        model.stream.finish(rows: batch.rowCount)
    }

    /// Adds attention's or the experts' output to the residual stream. Multiplied first, then added, whether or not anyone
    /// looks: a fused step would round otherwise.
    private mutating func addBranch(_ site: HookSite, _ layer: Int, after postNorm: Weights.Norm?) throws {
        if let postNorm { backend.norm(branch, postNorm, config, into: branch) }
        if config.multipliers.residual != 1 { backend.scale(branch, by: config.multipliers.residual) }
        try hooks.emit(site, layer, branch)
        backend.add(branch, times: 1, to: x)
    }

    private func norm(_ x: Matrix, _ norm: Weights.Norm?, into out: Matrix) {
        backend.norm(x, norm, config, into: out)
    }
}

extension Backend {
    /// The norm of a model's family, every row; x itself where there is none.
    func norm(_ x: Matrix, _ norm: Weights.Norm?, _ config: ModelConfig, into out: Matrix) {
        guard let norm else { return copy(x, into: out) }
        switch config.norm.kind {
        case .rms: rmsNorm(x, weight: norm.weight, epsilon: config.norm.epsilon, into: out)
        case .layer: layerNorm(x, weight: norm.weight, bias: norm.bias, epsilon: config.norm.epsilon, into: out)
        }
    }
}
