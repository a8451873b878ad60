import Foundation
import Tensors

/// Chooses the next token from logits, in the order of `transformers`: repetition penalty, temperature, top-k, top-p, min-p.
public struct Sampler: Sendable {
    /// 0: the largest logit, ties to the lower id.
    public var temperature: Float = 0
    /// Keep this many most probable tokens; 0: all.
    public var topK = 0
    /// Keep the fewest most probable tokens that together reach this probability; 1: all.
    public var topP: Float = 1
    /// Drop tokens less probable than this share of the most probable; 0: none.
    public var minP: Float = 0
    /// Divide positive and multiply negative logits of tokens seen before by this (arXiv 1909.05858); 1: not.
    public var repetitionPenalty: Float = 1
    private var numbers: SeededGenerator

    public init(seed: UInt64 = 0) { numbers = SeededGenerator(state: seed) }

    /// A token that may come next.
    public struct Candidate: Sendable, Equatable {
        public var token: Int32
        /// Probabilities of all candidates sum to 1.
        public var probability: Float
    }

    /// - Parameters:
    ///   - logits: [V].
    ///   - seen: tokens of the text so far, for the repetition penalty.
    public mutating func next(_ logits: [Float], seen: [Int32] = []) -> Int32 {
        let candidates = candidates(logits, seen: seen)
        guard candidates.count > 1 else { return candidates.first?.token ?? 0 }
        var left = numbers.uniform()
        for candidate in candidates {
            left -= candidate.probability
            if left < 0 { return candidate.token }
        }
        return candidates[candidates.count - 1].token
    }

    /// What `next` draws from, the most probable first, ties to the lower id; without a temperature, one token.
    public func candidates(_ logits: [Float], seen: [Int32] = []) -> [Candidate] {
        var logits = logits
        if repetitionPenalty != 1 {
            for token in Set(seen) where logits.indices.contains(Int(token)) {
                let z = logits[Int(token)]
                logits[Int(token)] = z > 0 ? z / repetitionPenalty : z * repetitionPenalty
            }
        }
        var best = 0
        for index in logits.indices where logits[index] > logits[best] { best = index }
        guard temperature > 0, !logits.isEmpty else { return [Candidate(token: Int32(best), probability: 1)] }

        let largest = logits[best]
        // Weights relative to the largest, which has 1.
        let weights = logits.map { exp(($0 - largest) / temperature) }
        var mass = weights.reduce(0, +)
        // What is under the floor is not worth sorting.
        var floor = minP
        if topK > 0, topK < weights.count {
            let top = weights.sorted(by: >).prefix(topK)
            floor = max(floor, top[topK - 1])
            mass = top.reduce(0, +)
        } else {
            // Tokens under (1 − p)/V of the mass hold less than 1 − p of it together.
            floor = max(floor, (1 - topP) * mass / Float(weights.count))
        }
        var kept: [Candidate] = []
        for index in weights.indices where weights[index] > 0 && weights[index] >= floor {
            kept.append(Candidate(token: Int32(index), probability: weights[index]))
        }
        kept.sort { ($1.probability, $0.token) < ($0.probability, $1.token) }
        if topK > 0 { kept.removeLast(max(0, kept.count - topK)) }
        if topP < 1 {
            var reached: Float = 0
            var count = 0
            while count < kept.count, count == 0 || reached < topP * mass {
                reached += kept[count].probability
                count += 1
            }
            kept.removeLast(kept.count - count)
        }
        let sum = kept.reduce(0) { $0 + $1.probability }
        for index in kept.indices { kept[index].probability /= sum }
        return kept
    }
}
