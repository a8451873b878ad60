import Foundation

/// How likely each set of experts is in each group: naive Bayes on which experts are in the set, given that it has so many.
///
/// p(S | g) = Π_{e ∈ S} w_ge / e_k(w_g), k = |S|, where e_k is the elementary symmetric polynomial: independent indicators,
/// conditional on k of them being on. The weights are those of the largest likelihood: expert e is in a set of K as often as in the
/// counts, a half added to each (Chen, Dempster & Liu 1994). What experts do in pairs is not in it, so that what it tells about
/// the group is less than the set does. It needs counts alone, whatever E and K are.
///
/// E experts · K experts in a set · G groups.
struct ExpertSetModel {
    private let groups: Int
    private let experts: Int
    /// [E, G]: log w.
    private var logWeights: [Double]
    /// [K + 1, G]: log e_k.
    private var logSums: [Double]

    /// - Parameters:
    ///   - counts: [G, E], assignments.
    ///   - slots: K, 1 or more.
    init(_ counts: [Double], groups: Int, experts: Int, slots: Int) {
        self.groups = groups
        self.experts = experts
        logWeights = [Double](repeating: 0, count: experts * groups)
        logSums = [Double](repeating: 0, count: (slots + 1) * groups)
        for group in 0..<groups {
            let own = counts[group * experts..<(group + 1) * experts]
            let total = own.reduce(0, +) + Double(experts) / 2
            // Expected to be in the set; never certain, though K = E makes it so.
            let inclusion = own.map { min(Double(slots) * ($0 + 0.5) / total, 1 - 1e-9) }
            let weights = Self.weights(inclusion, slots: slots)
            let sums = Self.symmetric(weights, slots)
            for expert in 0..<experts { logWeights[expert * groups + group] = log(weights[expert]) }
            for k in 0...slots { logSums[k * groups + group] = log(sums[k]) }
        }
    }

    /// The log-likelihood of a set in each group.
    /// - Parameters:
    ///   - chosen: [K], indices of E or more are no experts.
    ///   - result: [G]
    @inline(__always)
    func fill(_ result: UnsafeMutableBufferPointer<Double>, chosen: UnsafeBufferPointer<UInt16>) {
        for group in 0..<groups { result[group] = 0 }
        var size = 0
        logWeights.withUnsafeBufferPointer { weights in
            for index in chosen where Int(index) < experts {
                size += 1
                for group in 0..<groups { result[group] += weights[Int(index) * groups + group] }
            }
        }
        logSums.withUnsafeBufferPointer { sums in
            for group in 0..<groups { result[group] -= sums[size * groups + group] }
        }
    }

    /// Weights under which expert e is in the set with probability `inclusion[e]`.
    private static func weights(_ inclusion: [Double], slots: Int) -> [Double] {
        let E = inclusion.count
        let W = slots + 1
        var weights = inclusion.map { $0 / (1 - $0) }
        // Symmetric polynomials of the experts before one, and from one on.
        var before = [Double](repeating: 0, count: (E + 1) * W)
        var after = before
        for _ in 0..<iterations {
            let scale = Double(slots) / weights.reduce(0, +)
            for e in 0..<E { weights[e] *= scale }
            before[0] = 1
            for k in 1..<W { before[k] = 0 }
            for e in 0..<E {
                before[(e + 1) * W] = 1
                for k in 1..<W { before[(e + 1) * W + k] = before[e * W + k] + weights[e] * before[e * W + k - 1] }
            }
            after[E * W] = 1
            for k in 1..<W { after[E * W + k] = 0 }
            for e in stride(from: E - 1, through: 0, by: -1) {
                after[e * W] = 1
                for k in 1..<W {
                    after[e * W + k] = after[(e + 1) * W + k] + weights[e] * after[(e + 1) * W + k - 1]
                }
            }
            let all = before[E * W + slots]
            var change = 0.0
            for e in 0..<E {
                // e_{K−1} of all other experts.
                var others = 0.0
                for k in 0..<slots { others += before[e * W + k] * after[(e + 1) * W + slots - 1 - k] }
                let next = inclusion[e] * all / others
                change = max(change, abs(next / weights[e] - 1))
                weights[e] = next
            }
            if change < 1e-12 { break }
        }
        let scale = Double(slots) / weights.reduce(0, +)
        return weights.map { $0 * scale }
    }

    /// Most are there after some tens; an expert in nearly every set takes long.
    private static let iterations = 1000

    /// e_0 … e_K of the weights.
    private static func symmetric(_ weights: [Double], _ slots: Int) -> [Double] {
        var sums = [Double](repeating: 0, count: slots + 1)
        sums[0] = 1
        for weight in weights {
            for k in stride(from: slots, to: 0, by: -1) { sums[k] += weight * sums[k - 1] }
        }
        return sums
    }
}
