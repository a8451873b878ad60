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
    /// Whether q, k and v add a bias.
    public var hasBias: Bool
    /// Whether the output projection adds one too.
    public var hasOutputBias: Bool

    public init(
        headCount: Int, keyValueHeadCount: Int, headSize: Int, rotary: RotaryConfig = RotaryConfig(),
        queryKeyNorm: QueryKeyNorm? = nil, projectionClip: Float? = nil, scale: Float? = nil, hasBias: Bool = false,
        hasOutputBias: Bool = false
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
    }

    /// Elements of a row of queries, H·d.
    public var queryWidth: Int { headCount * headSize }
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

    public init(theta: Float = 1e6, layout: Layout = .halves, scaling: RopeScaling? = nil) {
        self.theta = theta
        self.layout = layout
        self.scaling = scaling
    }
}
