import Foundation

extension RouterPolicy {
    /// What one row's distribution over experts is summed up to.
    public struct RowSummary: Sendable {
        /// H of the distribution, in nats.
        public var entropy: Double
        /// The same from the sums that come before dividing. It differs from `entropy` in the last bits, and is kept so that
        /// correlations with it stay what they were.
        public var entropyOfSums: Double
        /// log Σ exp(z) over the logits, whatever the score: what the router z-loss squares.
        public var logSumExp: Double
    }

    /// The model's own distribution over experts for one row of logits: softmax(z), or for sigmoid scores s / Σ s. Every
    /// metric and page that speaks of router probabilities asks here.
    ///
    /// - Parameters:
    ///   - logits: [E]; −∞ marks an expert that an intervention has excluded.
    ///   - probabilities: [E], initialized by the call.
    @discardableResult
    public func distribution(
        _ logits: UnsafeBufferPointer<Float>, into probabilities: UnsafeMutableBufferPointer<Double>
    ) -> RowSummary {
        var largest = -Double.infinity
        for z in logits { largest = max(largest, Double(z)) }
        var total = 0.0
        var weightedSum = 0.0
        for (expert, z) in logits.enumerated() {
            let shifted = Double(z) - largest
            let value = exp(shifted)
            probabilities.initializeElement(at: expert, to: value)
            total += value
            if value > 0 { weightedSum += value * shifted }
        }
        let logTotal = log(total)
        let logSumExp = logTotal + largest
        switch score {
        case .softmax, .sparseMixer:
            // H = log Σ exp(z − max) − Σ p·(z − max)
            var weighted = 0.0
            for (expert, z) in logits.enumerated() {
                let share = probabilities[expert] / total
                probabilities[expert] = share
                if share > 0 { weighted += share * (Double(z) - largest) }
            }
            return RowSummary(
                entropy: max(0, logTotal - weighted), entropyOfSums: max(0, logTotal - weightedSum / total),
                logSumExp: logSumExp)
        case .sigmoid:
            var sum = 0.0
            for (expert, z) in logits.enumerated() {
                probabilities[expert] = 1 / (1 + exp(-Double(z)))
                sum += probabilities[expert]
            }
            var entropy = 0.0
            for expert in logits.indices {
                let share = probabilities[expert] / sum
                probabilities[expert] = share
                if share > 0 { entropy -= share * log(share) }
            }
            return RowSummary(entropy: max(0, entropy), entropyOfSums: max(0, entropy), logSumExp: logSumExp)
        }
    }

    /// `distribution` of any collection of logits as an array, [E].
    public func distribution(_ logits: some Collection<Float>) -> [Double] {
        let logits = Array(logits)
        return [Double](unsafeUninitializedCapacity: logits.count) { buffer, count in
            logits.withUnsafeBufferPointer { _ = distribution($0, into: buffer) }
            count = logits.count
        }
    }
}
