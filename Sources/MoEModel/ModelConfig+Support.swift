import Checkpoints

extension ModelConfig {
    /// Parts of the model that checkpoints describe and the forward pass does not compute yet; running without them would
    /// give other numbers, so `Model.init` refuses.
    var uncomputedParts: [String] {
        let parts: [(Bool, String)] = [
            (normKind != .rms, "LayerNorm"),
            (queryKeyNorm != nil, "query and key norms"),
            (routerScoring == .sparseMixer, "SparseMixer routing"),
            (sharedExpertSize != nil, "a shared expert"),
            (ropeScaling != nil, "rotary scaling"),
            (projectionClip != nil, "clipped projections"),
            (attentionScale != nil, "an attention scale"),
            (embeddingMultiplier != 1 || residualMultiplier != 1 || logitDivisor != 1, "multipliers"),
            (hasAttentionBias, "attention biases"),
            (hasOutputBias, "an output bias"),
        ]
        return parts.filter(\.0).map(\.1)
    }
}
