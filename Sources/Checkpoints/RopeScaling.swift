/// How rotary frequencies are stretched beyond the context a model was first trained on.
public struct RopeScaling: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable {
        /// All frequencies divided by `factor`.
        case linear
        /// YaRN (arXiv 2309.00071): low frequencies divided, high ones kept, a ramp between; attention scaled.
        case yarn
        /// One divisor per frequency (LongRoPE, arXiv 2402.13753): `shortFactors` up to `originalContext` positions,
        /// `longFactors` beyond.
        case longRope
    }

    public var kind: Kind
    public var factor: Float
    /// Positions of the original training.
    public var originalContext: Int
    public var betaFast: Float
    public var betaSlow: Float
    /// Whether YaRN's ramp ends are rounded outwards to whole dimensions (transformers' `truncate`, default true).
    public var roundsRamp: Bool
    /// What sin and cos are multiplied by (so scores by its square): YaRN's default is 0.1 · ln(factor) + 1.
    public var attentionFactor: Float
    /// LongRoPE: d/2 divisors each, empty otherwise.
    public var shortFactors: [Float]
    public var longFactors: [Float]
    /// LongRoPE: what replaces `attentionFactor` within and beyond `originalContext` (Phi-3.5-MoE's `short_mscale` and `long_mscale`).
    public var shortAttentionFactor: Float?
    public var longAttentionFactor: Float?

    public init(
        kind: Kind, factor: Float, originalContext: Int, betaFast: Float = 32, betaSlow: Float = 1,
        roundsRamp: Bool = true, attentionFactor: Float = 1, shortFactors: [Float] = [], longFactors: [Float] = [],
        shortAttentionFactor: Float? = nil, longAttentionFactor: Float? = nil
    ) {
        self.kind = kind
        self.factor = factor
        self.originalContext = originalContext
        self.betaFast = betaFast
        self.betaSlow = betaSlow
        self.roundsRamp = roundsRamp
        self.attentionFactor = attentionFactor
        self.shortFactors = shortFactors
        self.longFactors = longFactors
        self.shortAttentionFactor = shortAttentionFactor
        self.longAttentionFactor = longAttentionFactor
    }
}
