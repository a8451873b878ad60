/// What a checkpoint says of its model, in one vocabulary for every family and file format.
public struct ModelConfig: Sendable, Equatable, Codable {
    /// How the two halves of a head are paired by the rotary embedding.
    public enum RotaryLayout: String, Sendable, Codable {
        /// Element i with element i + d/2 (Hugging Face; arXiv 2104.09864 with permuted weights).
        case halves
        /// Element 2i with element 2i + 1 (GGUF's `llama`, the original order).
        case pairs
    }

    /// Where query and key heads are normalized before the rotary embedding.
    public enum QueryKeyNorm: String, Sendable, Codable {
        /// RMSNorm over each head's d elements, one weight [d] for all heads (Qwen3).
        case perHead
        /// RMSNorm over the whole projection, weights [H·d] and [G·d] (OLMoE).
        case wholeProjection
    }

    /// How router logits become mixing weights.
    public enum RouterScoring: String, Sendable, Codable {
        /// Softmax over all E, then the K largest (Mixtral, OLMoE, Qwen); `renormalizesExpertWeights` says the rest.
        case softmaxThenTopK
        /// The K largest logits, then softmax over those K (Granite): the same numbers as renormalized softmax.
        case topKThenSoftmax
        /// Phi-3.5-MoE's two-step masked softmax (SparseMixer, arXiv 2310.00811), K = 2.
        case sparseMixer
    }

    public enum NormKind: String, Sendable, Codable {
        case rms
        /// With mean subtraction and a bias (Phi-3.5-MoE).
        case layer
    }

    /// Hugging Face's `model_type`: "mixtral", "olmoe", …
    public var architecture: String
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var layerCount: Int
    /// Query heads, H.
    public var headCount: Int
    /// Key/value heads, G; divides H.
    public var keyValueHeadCount: Int
    /// Size of one head, d; not necessarily hidden / heads.
    public var headSize: Int
    /// Width of one expert, F.
    public var expertSize: Int
    /// Experts per layer, E.
    public var expertCount: Int
    /// Experts each token goes to, K.
    public var expertsPerToken: Int
    public var contextLength: Int
    /// Attend to at most this many last positions; nil: to all.
    public var slidingWindow: Int?
    public var normEpsilon: Float
    public var ropeTheta: Float
    public var rotaryLayout: RotaryLayout
    /// Whether the K mixing weights are divided by their sum (Mixtral: true).
    public var renormalizesExpertWeights: Bool
    public var tiesOutputToEmbedding: Bool
    public var bosToken: Int32?
    public var eosToken: Int32?
    public var balanceLossCoefficient: Float?
    public var normKind: NormKind
    public var queryKeyNorm: QueryKeyNorm?
    public var routerScoring: RouterScoring
    /// SparseMixer's jitter ε, which also masks at inference.
    public var routerJitter: Float
    /// Width of the expert every token goes through, gated by a sigmoid (Qwen2-MoE); nil: none.
    public var sharedExpertSize: Int?
    public var ropeScaling: RopeScaling?
    /// Clamp q, k and v projections to ± this (OLMoE's `clip_qkv`).
    public var projectionClip: Float?
    /// Attention scores are multiplied by this; nil: 1/√d.
    public var attentionScale: Float?
    /// The embedding, each branch added to the residual stream, and the divisor of the logits (Granite); 1: unchanged.
    public var embeddingMultiplier: Float
    public var residualMultiplier: Float
    public var logitDivisor: Float
    /// Whether q, k and v (in some families also o) add a bias.
    public var hasAttentionBias: Bool
    /// Whether the output projection adds a bias.
    public var hasOutputBias: Bool

    public init(
        architecture: String, vocabularySize: Int, hiddenSize: Int, layerCount: Int, headCount: Int,
        keyValueHeadCount: Int, headSize: Int, expertSize: Int, expertCount: Int, expertsPerToken: Int,
        contextLength: Int, slidingWindow: Int? = nil, normEpsilon: Float = 1e-5, ropeTheta: Float = 1e6,
        rotaryLayout: RotaryLayout = .halves, renormalizesExpertWeights: Bool = true,
        tiesOutputToEmbedding: Bool = false, bosToken: Int32? = nil, eosToken: Int32? = nil,
        balanceLossCoefficient: Float? = nil, normKind: NormKind = .rms, queryKeyNorm: QueryKeyNorm? = nil,
        routerScoring: RouterScoring = .softmaxThenTopK, routerJitter: Float = 0, sharedExpertSize: Int? = nil,
        ropeScaling: RopeScaling? = nil, projectionClip: Float? = nil, attentionScale: Float? = nil,
        embeddingMultiplier: Float = 1, residualMultiplier: Float = 1, logitDivisor: Float = 1,
        hasAttentionBias: Bool = false, hasOutputBias: Bool = false
    ) {
        self.architecture = architecture
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headSize = headSize
        self.expertSize = expertSize
        self.expertCount = expertCount
        self.expertsPerToken = expertsPerToken
        self.contextLength = contextLength
        self.slidingWindow = slidingWindow
        self.normEpsilon = normEpsilon
        self.ropeTheta = ropeTheta
        self.rotaryLayout = rotaryLayout
        self.renormalizesExpertWeights = renormalizesExpertWeights
        self.tiesOutputToEmbedding = tiesOutputToEmbedding
        self.bosToken = bosToken
        self.eosToken = eosToken
        self.balanceLossCoefficient = balanceLossCoefficient
        self.normKind = normKind
        self.queryKeyNorm = queryKeyNorm
        self.routerScoring = routerScoring
        self.routerJitter = routerJitter
        self.sharedExpertSize = sharedExpertSize
        self.ropeScaling = ropeScaling
        self.projectionClip = projectionClip
        self.attentionScale = attentionScale
        self.embeddingMultiplier = embeddingMultiplier
        self.residualMultiplier = residualMultiplier
        self.logitDivisor = logitDivisor
        self.hasAttentionBias = hasAttentionBias
        self.hasOutputBias = hasOutputBias
    }
}
