/// What of a model decides which of our points another tool's name means.
public struct HookNaming: Sendable, Equatable {
    /// Hugging Face's `model_type`; nil: any.
    public var family: String?
    /// Whether q and k are normalized after their projection.
    public var normalizesQueries = false
    /// Whether q, k and v are clipped after their projection.
    public var clipsProjections = false
    /// Whether token embeddings are multiplied.
    public var scalesEmbedding = false
    /// Whether an expert that every token goes through is added to the mixture.
    public var hasSharedExpert = false
    /// Whether mixing weights are divided by their sum.
    public var renormalizes = false
    /// Whether llama.cpp keeps the rows of q and k in another order than this checkpoint.
    public var isReordered = false
    /// Whether experts are scored by a sigmoid.
    public var scoresBySigmoid = false
    /// Whether mixing weights are multiplied in the end.
    public var scalesWeights = false
    /// Whether head outputs are gated.
    public var gatesHeads = false
    /// Whether keys and values come out of a latent.
    public var hasLatent = false
    /// Whether q and k are normalized after the rotary embedding.
    public var normalizesAfterRotation = false

    public init(family: String? = nil) { self.family = family }
}

extension HookNaming {
    /// A reason for which a name is refused in some models.
    enum Rule: Sendable {
        /// Only these families have a module of this name.
        case families([String])
        case always(String)
        case whereClipped(String)
        case whereScaledEmbedding(String)
        case whereSharedExpert(String)
        case whereRenormalized(String)
        case whereNotRenormalized(String)
        case whereReordered(String)
        case whereNotNormalized(String)
        case inFamily(String, String)
        case whereSigmoid(String)
        case whereScaledWeights(String)
        case whereGatedHeads(String)
        case whereLatent(String)
        case whereNormalizedAfterRotation(String)
    }

    /// Why a name of this rule is not accepted here; nil: it is.
    func refusal(_ rule: Rule) -> String? {
        switch rule {
        case .families(let names):
            family.flatMap { names.contains($0) ? nil : "\($0) has no module of this name" }
        case .always(let reason): reason
        case .whereClipped(let reason): clipsProjections ? reason : nil
        case .whereScaledEmbedding(let reason): scalesEmbedding ? reason : nil
        case .whereSharedExpert(let reason): hasSharedExpert ? reason : nil
        case .whereRenormalized(let reason): family != nil && renormalizes ? reason : nil
        case .whereNotRenormalized(let reason): family != nil && !renormalizes ? reason : nil
        case .whereReordered(let reason): isReordered ? reason : nil
        case .whereNotNormalized(let reason): family != nil && !normalizesQueries ? reason : nil
        case .inFamily(let name, let reason): family == name ? reason : nil
        case .whereSigmoid(let reason): scoresBySigmoid ? reason : nil
        case .whereScaledWeights(let reason): scalesWeights ? reason : nil
        case .whereLatent(let reason): hasLatent ? reason : nil
        case .whereGatedHeads(let reason): gatesHeads ? reason : nil
        case .whereNormalizedAfterRotation(let reason): normalizesAfterRotation ? reason : nil
        }
    }
}
