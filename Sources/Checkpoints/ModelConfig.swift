import RouterPolicies

/// What a checkpoint says of its model, by topic and in one vocabulary for every family and file format.
public struct ModelConfig: Sendable, Equatable, Codable {
    /// Hugging Face's `model_type`: "mixtral", "olmoe", …
    public var architecture: String
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var contextLength: Int
    /// What each layer is made of, first to last.
    public var layers: [LayerKind]
    public var norm: NormConfig
    public var attention: AttentionConfig
    /// The router of every layer that has experts.
    public var router: RouterPolicy
    public var experts: ExpertsConfig
    /// Width of the feed-forward network in dense layers; nil where every layer has experts.
    public var denseSize: Int?
    public var multipliers: Multipliers
    public var tiesOutputToEmbedding: Bool
    /// Whether the output projection adds a bias.
    public var hasOutputBias: Bool
    public var bosToken: Int32?
    public var eosToken: Int32?
    public var balanceLossCoefficient: Float?

    public init(
        architecture: String, vocabularySize: Int, hiddenSize: Int, contextLength: Int, layers: [LayerKind],
        norm: NormConfig = NormConfig(), attention: AttentionConfig, router: RouterPolicy, experts: ExpertsConfig,
        denseSize: Int? = nil, multipliers: Multipliers = Multipliers(), tiesOutputToEmbedding: Bool = false,
        hasOutputBias: Bool = false, bosToken: Int32? = nil, eosToken: Int32? = nil,
        balanceLossCoefficient: Float? = nil
    ) {
        self.architecture = architecture
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.contextLength = contextLength
        self.layers = layers
        self.norm = norm
        self.attention = attention
        self.router = router
        self.experts = experts
        self.denseSize = denseSize
        self.multipliers = multipliers
        self.tiesOutputToEmbedding = tiesOutputToEmbedding
        self.hasOutputBias = hasOutputBias
        self.bosToken = bosToken
        self.eosToken = eosToken
        self.balanceLossCoefficient = balanceLossCoefficient
    }

    public var layerCount: Int { layers.count }

    /// Experts each token goes to, K.
    public var expertsPerToken: Int { router.expertsPerToken }

    /// The layers that have a router, rising.
    public var expertLayers: [Int] { layers.indices.filter { layers[$0].feedForward == .experts } }

    /// The window of the layers that have one, where it is one number; nil: no layer has one, or they differ.
    public var commonWindow: Int? {
        let windows = Set(layers.compactMap(\.attention.window))
        return windows.count == 1 ? windows.first : nil
    }

    /// The window of every layer's attention where all have the same; nil: no layer has one, or layers differ.
    public var slidingWindow: Int? {
        guard let first = layers.first?.attention.window else { return nil }
        return layers.allSatisfy { $0.attention.window == first } ? first : nil
    }
}

/// What one decoder layer is made of.
public struct LayerKind: Sendable, Equatable, Codable {
    public enum Attention: Sendable, Equatable {
        /// Every row attends to all rows of its document up to itself.
        case full
        /// Every row attends to at most this many last rows, itself included.
        case windowed(Int)

        /// Rows that are attended to; nil: all.
        public var window: Int? {
            switch self {
            case .full: nil
            case .windowed(let count): count
            }
        }
    }

    public enum FeedForward: String, Sendable, Codable {
        /// One network that every token goes through.
        case dense
        /// A router and experts.
        case experts
    }

    public var attention: Attention
    public var feedForward: FeedForward

    public init(attention: Attention = .full, feedForward: FeedForward = .experts) {
        self.attention = attention
        self.feedForward = feedForward
    }

    private enum CodingKeys: String, CodingKey {
        case window, feedForward
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        attention = try values.decodeIfPresent(Int.self, forKey: .window).map { .windowed($0) } ?? .full
        feedForward = try values.decode(FeedForward.self, forKey: .feedForward)
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encodeIfPresent(attention.window, forKey: .window)
        try values.encode(feedForward, forKey: .feedForward)
    }
}

public struct NormConfig: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable {
        /// Root mean square norm (arXiv 1910.07467).
        case rms
        /// With mean subtraction and a bias (Phi-3.5-MoE; arXiv 1607.06450).
        case layer
    }

    /// Where attention and the feed-forward network have their norms.
    public enum Placement: String, Sendable, Codable {
        /// What they read is normalized.
        case before
        /// What they add to the residual stream is normalized (FlexOlmo).
        case after
        /// Both (AFMoE).
        case both
    }

    public var kind: Kind
    public var epsilon: Float
    public var placement: Placement

    public init(kind: Kind = .rms, epsilon: Float = 1e-5, placement: Placement = .before) {
        self.kind = kind
        self.epsilon = epsilon
        self.placement = placement
    }
}

/// The experts of a layer. E experts · F width of one.
public struct ExpertsConfig: Sendable, Equatable, Codable {
    /// Experts per layer, E.
    public var count: Int
    /// Width of one expert, F.
    public var size: Int
    /// Width of the expert that every token goes through; nil: there is none.
    public var sharedSize: Int?
    /// Whether the shared expert's output is multiplied by σ(x · w) with a learned w (Qwen2-MoE).
    public var sharedIsGated: Bool
    /// Whether the router and the experts add biases, and how gate and up are clamped (gpt-oss); nil: neither.
    public var clamp: Clamp?

    /// (u + 1) · g · σ(α · g), with g = min(gate, limit) and u = up within ± limit; gate, up, down and router have biases.
    public struct Clamp: Sendable, Equatable, Codable {
        public var alpha: Float
        public var limit: Float

        public init(alpha: Float, limit: Float) {
            self.alpha = alpha
            self.limit = limit
        }
    }

    public init(
        count: Int, size: Int, sharedSize: Int? = nil, sharedIsGated: Bool = false, clamp: Clamp? = nil
    ) {
        self.count = count
        self.size = size
        self.sharedSize = sharedSize
        self.sharedIsGated = sharedIsGated
        self.clamp = clamp
    }
}

/// Granite's scalars; 1 leaves a value unchanged.
public struct Multipliers: Sendable, Equatable, Codable {
    public var embedding: Float
    /// The factor of each branch before it is added to the residual stream.
    public var residual: Float
    /// What logits are divided by.
    public var logitDivisor: Float

    public init(embedding: Float = 1, residual: Float = 1, logitDivisor: Float = 1) {
        self.embedding = embedding
        self.residual = residual
        self.logitDivisor = logitDivisor
    }
}
