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
        for first in stride(from: 0, to: groups, by: Lanes.scalarCount) {
            let own = first..<min(groups, first + Lanes.scalarCount)
            // Lanes beyond the last group get what is there at the first step.
            let even = min(Double(slots) / Double(experts), 1 - 1e-9)
            var inclusion = [Lanes](repeating: Lanes(repeating: even), count: experts)
            for (lane, group) in own.enumerated() {
                let counts = counts[group * experts..<(group + 1) * experts]
                let total = counts.reduce(0, +) + Double(experts) / 2
                // Expected to be in the set; never certain, though K = E makes it so.
                for (expert, count) in counts.enumerated() {
                    inclusion[expert][lane] = min(Double(slots) * (count + 0.5) / total, 1 - 1e-9)
                }
            }
            let all = Self.weights(inclusion, slots: slots)
            for (lane, group) in own.enumerated() {
                let weights = all.map { $0[lane] }
                let sums = Self.symmetric(weights, slots)
                for expert in 0..<experts { logWeights[expert * groups + group] = log(weights[expert]) }
                for k in 0...slots { logSums[k * groups + group] = log(sums[k]) }
            }
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

    /// Four groups side by side. Each goes its own way, and stops where it has arrived.
    private typealias Lanes = SIMD4<Double>

    /// Weights under which expert e is in the set with probability `inclusion[e]`.
    private static func weights(_ inclusion: [Lanes], slots: Int) -> [Lanes] {
        let E = inclusion.count
        let W = slots + 1
        let one = Lanes(repeating: 1)
        var weights = inclusion.map { $0 / (one - $0) }
        weights.withUnsafeMutableBufferPointer { weights in
            // Symmetric polynomials of the experts before one, and from one on.
            withUnsafeTemporaryAllocation(of: Lanes.self, capacity: 2 * (E + 1) * W) { scratch in
                scratch.initialize(repeating: .zero)
                let before = UnsafeMutableBufferPointer(rebasing: scratch[0..<(E + 1) * W])
                let after = UnsafeMutableBufferPointer(rebasing: scratch[((E + 1) * W)...])
                var isMoving = SIMDMask<SIMD4<Int64>>(repeating: true)
                for _ in 0..<iterations {
                    let scale = Self.scale(weights, slots)
                    for e in 0..<E { weights[e].replace(with: weights[e] * scale, where: isMoving) }
                    before[0] = one
                    for e in 0..<E {
                        let (row, next, weight) = (e &* W, (e &+ 1) &* W, weights[e])
                        before[next] = one
                        for k in 1..<W {
                            let product: Lanes = weight * before[row &+ k &- 1]
                            before[next &+ k] = before[row &+ k] + product
                        }
                    }
                    after[E * W] = one
                    for e in stride(from: E - 1, through: 0, by: -1) {
                        let (row, next, weight) = (e &* W, (e &+ 1) &* W, weights[e])
                        after[row] = one
                        for k in 1..<W {
                            let product: Lanes = weight * after[next &+ k &- 1]
                            after[row &+ k] = after[next &+ k] + product
                        }
                    }
                    let all = before[E * W + slots]
                    var change = Lanes.zero
                    for e in 0..<E {
                        // e_{K−1} of all other experts.
                        var others = Lanes.zero
                        let (row, last) = (e &* W, (e &+ 1) &* W &+ slots &- 1)
                        for k in 0..<slots {
                            let product: Lanes = before[row &+ k] * after[last &- k]
                            others += product
                        }
                        let wanted: Lanes = inclusion[e] * all
                        let next: Lanes = wanted / others
                        let step: Lanes = next / weights[e] - one
                        let size = step.replacing(with: -step, where: step .< 0)
                        change.replace(with: size, where: size .> change)
                        weights[e].replace(with: next, where: isMoving)
                    }
                    isMoving = isMoving .& (change .>= 1e-12)
                    if !any(isMoving) { break }
                }
            }
            let scale = Self.scale(weights, slots)
            for e in 0..<E { weights[e] *= scale }
        }
        return weights
    }

    /// What makes the weights add up to K.
    private static func scale(_ weights: UnsafeMutableBufferPointer<Lanes>, _ slots: Int) -> Lanes {
        var sum = Lanes.zero
        for weight in weights { sum += weight }
        return Lanes(repeating: Double(slots)) / sum
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
