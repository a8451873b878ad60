import Checkpoints
import Hooks

extension ModelConfig {
    /// What decides which of our points other tools' names mean in this model.
    public var hookNaming: HookNaming {
        var naming = HookNaming(family: architecture)
        naming.normalizesQueries = attention.queryKeyNorm != nil
        naming.clipsProjections = attention.projectionClip != nil
        naming.scalesEmbedding = multipliers.embedding != 1
        naming.hasSharedExpert = experts.sharedSize != nil
        naming.renormalizes = router.weigh.normalizes
        naming.isReordered = attention.rotary.layout != ggufRotaryLayout
        naming.scoresBySigmoid = router.score == .sigmoid
        naming.scalesWeights = router.weigh.scale != 1
        naming.gatesHeads = attention.gatesHeads
        naming.hasLatent = attention.latent != nil
        naming.normalizesAfterRotation = attention.normalizesAfterRotation
        return naming
    }
}
