/// What a checkpoint says of its model, in one vocabulary for every family and file format.
public struct ModelConfig: Sendable, Equatable, Codable {
    /// How the two halves of a head are paired by the rotary embedding.
    public enum RotaryLayout: String, Sendable, Codable {
        /// Element i with element i + d/2 (Hugging Face; arXiv 2104.09864 with permuted weights).
        case halves
        /// Element 2i with element 2i + 1 (GGUF's `llama`, the original order).
        case pairs
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

    public init(
        architecture: String, vocabularySize: Int, hiddenSize: Int, layerCount: Int, headCount: Int,
        keyValueHeadCount: Int, headSize: Int, expertSize: Int, expertCount: Int, expertsPerToken: Int,
        contextLength: Int, slidingWindow: Int? = nil, normEpsilon: Float = 1e-5, ropeTheta: Float = 1e6,
        rotaryLayout: RotaryLayout = .halves, renormalizesExpertWeights: Bool = true,
        tiesOutputToEmbedding: Bool = false, bosToken: Int32? = nil, eosToken: Int32? = nil,
        balanceLossCoefficient: Float? = nil
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
    }
}
