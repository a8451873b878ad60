import Foundation

/// Chooses the next token from logits.
public struct Sampler: Sendable {
    /// 0: the largest logit, ties to the lower id.
    public var temperature: Float = 0
    /// Keep this many most probable tokens; 0: all.
    public var topK = 0
    /// Keep the most probable tokens that together reach this probability; 1: all.
    public var topP: Float = 1
    /// Drop tokens less probable than this share of the most probable; 0: none.
    public var minP: Float = 0
    /// Divide positive and multiply negative logits of tokens seen before by this (arXiv 1909.05858); 1: not.
    public var repetitionPenalty: Float = 1
    private var state: UInt64

    public init(seed: UInt64 = 0) { state = seed }

    /// - Parameters:
    ///   - logits: [V].
    ///   - seen: tokens of the text so far, for the repetition penalty.
    public mutating func next(_ logits: [Float], seen: [Int32] = []) -> Int32 {
        var logits = logits
        if repetitionPenalty != 1 {
            for token in Set(seen) where Int(token) < logits.count {
                let z = logits[Int(token)]
                logits[Int(token)] = z > 0 ? z / repetitionPenalty : z * repetitionPenalty
            }
        }
        guard temperature > 0 else {
            return Int32(logits.indices.max { (logits[$0], $1) < (logits[$1], $0) } ?? 0)
        }
        var ranked = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
        if topK > 0 { ranked = Array(ranked.prefix(topK)) }
        let largest = logits[ranked[0]]
        let weights = ranked.map { exp((logits[$0] - largest) / temperature) }
        let total = weights.reduce(0, +)
        var kept = 0
        var mass: Float = 0
        while kept < weights.count, kept == 0 || (mass < topP * total && weights[kept] >= minP * weights[0]) {
            mass += weights[kept]
            kept += 1
        }
        var left = uniform() * mass
        for place in 0..<kept {
            left -= weights[place]
            if left < 0 { return Int32(ranked[place]) }
        }
        return Int32(ranked[kept - 1])
    }

    /// Uniform in [0, 1), by splitmix64.
    private mutating func uniform() -> Float {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Float((z ^ (z >> 31)) >> 40) * 0x1p-24
    }
}
