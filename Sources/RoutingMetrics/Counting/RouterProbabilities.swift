import Foundation
import Traces

/// The one place where this target turns router logits into a distribution over experts.
///
/// Every metric that needs probabilities, margins of probability, an entropy or a KL asks here; none computes a softmax
/// itself. Traces hold logits of routers whose scores are a softmax over all E experts.
struct RouterProbabilities: Sendable {
    /// E
    let experts: Int

    init(_ layout: TraceLayout) { experts = layout.experts }

    /// What one row of logits gives beside its probabilities.
    struct Row {
        /// nats: −Σ p log p.
        var entropy: Double
        /// nats: the same from the sums that come before dividing. It differs from `entropy` in the last bits, and is kept
        /// so that correlations with it stay what they were.
        var entropyOfSums: Double
        /// log Σ exp z: what the router z-loss squares.
        var logSumExp: Double
    }

    /// - Parameters:
    ///   - logits: z of one row, [E]; −∞ is an expert that cannot be chosen.
    ///   - probabilities: gets π, [E], in Double whatever the trace stores.
    @inline(__always)
    @discardableResult
    func fill(_ probabilities: UnsafeMutableBufferPointer<Double>, from logits: UnsafeBufferPointer<Float>) -> Row {
        let E = experts
        var largest = -Double.infinity
        for e in 0..<E { largest = max(largest, Double(logits[e])) }
        var total = 0.0
        var weighted = 0.0
        for e in 0..<E {
            let shifted = Double(logits[e]) - largest
            let value = exp(shifted)
            probabilities[e] = value
            total += value
            if value > 0 { weighted += value * shifted }
        }
        // H = log Σ − Σ p·(z − max)
        var mean = 0.0
        for e in 0..<E {
            let share = probabilities[e] / total
            probabilities[e] = share
            if share > 0 { mean += share * (Double(logits[e]) - largest) }
        }
        let logTotal = log(total)
        return Row(
            entropy: max(0, logTotal - mean), entropyOfSums: max(0, logTotal - weighted / total),
            logSumExp: logTotal + largest)
    }

    /// - Parameter logits: [N, E].
    /// - Returns: π of one row, [E].
    func row(_ row: Int, of logits: [Float]) -> [Double] {
        [Double](unsafeUninitializedCapacity: experts) { buffer, count in
            buffer.initialize(repeating: 0)
            logits.withUnsafeBufferPointer {
                _ = fill(buffer, from: UnsafeBufferPointer(rebasing: $0[row * experts..<(row + 1) * experts]))
            }
            count = experts
        }
    }
}
