/// The attention of every layer; what differs from layer to layer is in `LayerKind`.
public struct AttentionConfig: Sendable, Equatable, Codable {
    /// Where query and key heads are normalized before the rotary embedding.
    public enum QueryKeyNorm: String, Sendable, Codable {
        /// RMSNorm over each head's d elements, one weight [d] for all heads (Qwen3).
        case perHead
        /// RMSNorm over the whole projection, weights [H·d] and [G·d] (OLMoE).
        case wholeProjection
    }

    /// Query heads, H.
    public var headCount: Int
    /// Key/value heads, G; divides H.
    public var keyValueHeadCount: Int
    /// Size of one head, d; not necessarily hidden / heads.
    public var headSize: Int
    public var rotary: RotaryConfig
    public var queryKeyNorm: QueryKeyNorm?
    /// Clamp q, k and v projections to ± this (OLMoE's `clip_qkv`).
    public var projectionClip: Float?
    /// Scores are multiplied by this; nil: 1/√d.
    public var scale: Float?
    /// How queries grow with their position; nil: they do not.
    public var queryGrowth: QueryGrowth?
    /// Whether q, k and v add a bias.
    public var hasBias: Bool
    /// Whether the output projection adds one too.
    public var hasOutputBias: Bool
    /// Whether query and key heads are normalized after the rotary embedding instead (Hunyuan).
    public var normalizesAfterRotation: Bool
    /// Whether the head outputs are multiplied by σ(x · Wᵀ) with a learned W, [H·d, D] (AFMoE).
    public var gatesHeads: Bool
    /// Whether each query head has a learned sink: a logit that takes its share of every row's softmax (gpt-oss).
    public var hasSinks: Bool
    /// Multi-head latent attention (arXiv 2405.04434 §2.1); nil: keys and values are projected as they are.
    public var latent: Latent?

    /// After the rotation, queries at position p are multiplied by 1 + β · ln(1 + ⌊p / period⌋) (Mistral 4).
    public struct QueryGrowth: Sendable, Equatable, Codable {
        public var beta: Float
        /// Positions of the original training.
        public var period: Int

        public init(beta: Float, period: Int) {
            self.beta = beta
            self.period = period
        }
    }

    /// How queries, keys and values come out of narrow latents. Each head has `headSize` elements of queries and keys, of which
    /// the last `rotatedSize` are rotated and, in keys, are the same for all heads.
    public struct Latent: Sendable, Equatable, Codable {
        /// Width of the latent of queries; nil: they are projected as they are.
        public var queryRank: Int?
        /// Width of the latent of keys and values, c.
        public var rank: Int
        /// Elements of a head's values; at most `headSize`.
        public var valueSize: Int

        public init(queryRank: Int? = nil, rank: Int, valueSize: Int) {
            self.queryRank = queryRank
            self.rank = rank
            self.valueSize = valueSize
        }
    }

    public init(
        headCount: Int, keyValueHeadCount: Int, headSize: Int, rotary: RotaryConfig = RotaryConfig(),
        queryKeyNorm: QueryKeyNorm? = nil, projectionClip: Float? = nil, scale: Float? = nil, hasBias: Bool = false,
        hasOutputBias: Bool = false, normalizesAfterRotation: Bool = false, gatesHeads: Bool = false,
        hasSinks: Bool = false, latent: Latent? = nil
    ) {
        self.headCount = headCount
        self.keyValueHeadCount = keyValueHeadCount
        self.headSize = headSize
        self.rotary = rotary
        self.queryKeyNorm = queryKeyNorm
        self.projectionClip = projectionClip
        self.scale = scale
        self.hasBias = hasBias
        self.hasOutputBias = hasOutputBias
        self.normalizesAfterRotation = normalizesAfterRotation
        self.gatesHeads = gatesHeads
        self.hasSinks = hasSinks
        self.latent = latent
    }

    /// Elements of a head that the rotary embedding turns, the first ones, or the last ones of latent attention; the others stay.
    public var rotatedSize: Int { rotary.size ?? headSize }

    /// Elements of a row of queries, H·d.
    public var queryWidth: Int { headCount * headSize }
    /// Elements of a row of head outputs: H·d, or what latent attention has of values.
    public var outputWidth: Int { headCount * (latent?.valueSize ?? headSize) }
    /// Elements of a row of keys or values, G·d.
    public var keyWidth: Int { keyValueHeadCount * headSize }
}

/// The rotary embedding (arXiv 2104.09864).
public struct RotaryConfig: Sendable, Equatable, Codable {
    /// How the two halves of a head are paired.
    public enum Layout: String, Sendable, Codable {
        /// Element i with element i + d/2 (Hugging Face; arXiv 2104.09864 with permuted weights).
        case halves
        /// Element 2i with element 2i + 1 (GGUF's `llama`, the original order).
        case pairs
    }

    /// Base of the frequencies.
    public var theta: Float
    public var layout: Layout
    public var scaling: RopeScaling?
    /// Elements of a head that are turned; nil: all.
    public var size: Int?
    /// Whether layers that attend to the whole text are not rotated at all (AFMoE).
    public var skipsFullLayers: Bool

    public init(
        theta: Float = 1e6, layout: Layout = .halves, scaling: RopeScaling? = nil, size: Int? = nil,
        skipsFullLayers: Bool = false
    ) {
        self.theta = theta
        self.layout = layout
        self.scaling = scaling
        self.size = size
        self.skipsFullLayers = skipsFullLayers
    }
}
