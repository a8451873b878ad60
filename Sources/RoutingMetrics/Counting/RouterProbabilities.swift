import RouterPolicies
import Traces

/// The one place where this target turns router logits into a distribution over experts: it asks the model's own policy, as
/// the trace records it.
struct RouterProbabilities: Sendable {
    /// E
    let experts: Int
    private let policy: RouterPolicy

    init(_ layout: TraceLayout) {
        experts = layout.experts
        policy = layout.router
    }

    /// - Parameters:
    ///   - probabilities: gets π of one row, [E], in Double whatever the trace stores.
    ///   - logits: z of one row, [E]; −∞ is an expert that cannot be chosen.
    @discardableResult
    func fill(
        _ probabilities: UnsafeMutableBufferPointer<Double>, from logits: UnsafeBufferPointer<Float>
    ) -> RouterPolicy.RowSummary {
        policy.distribution(logits, into: probabilities)
    }

    /// - Parameter logits: [N, E].
    /// - Returns: π of one row, [E].
    func row(_ row: Int, of logits: [Float]) -> [Double] {
        policy.distribution(logits[row * experts..<(row + 1) * experts])
    }
}
