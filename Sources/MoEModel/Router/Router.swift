import Foundation
import Hooks
import RouterPolicies
import Tensors

/// Which experts every token of a batch goes to, and with what weight.
///
/// T rows · E experts · W choices kept per row: the model's K, or more where an intervention asks for more. Choices a
/// row does not use have weight 0 and index E.
struct Routing {
    let rows: Int
    let expertCount: Int
    let width: Int
    /// [T, E]
    let logits: UnsafeMutablePointer<Float>
    /// [T, E]: after the score function, before any selection bias.
    let scores: UnsafeMutablePointer<Float>
    /// [T, W], by falling weight
    let indices: UnsafeMutablePointer<Int32>
    /// [T, W]
    let weights: UnsafeMutablePointer<Float>
}

/// A `RouterPolicy` applied to rows of a batch: score → select → weigh, in f32.
///
/// Mixtral's is a softmax over all experts, the K largest, their weights divided by their sum (arXiv 2401.04088 §2.1;
/// `MixtralTopKRouter` in transformers).
enum Router {
    /// s = softmax(z) or σ(z), for rows of the range.
    static func score(_ routing: Routing, _ policy: RouterPolicy, rows: Range<Int>) {
        let count = routing.expertCount
        for row in rows {
            let z = routing.logits + row * count
            let s = routing.scores + row * count
            if policy.score == .sigmoid {
                for expert in 0..<count { s[expert] = 1 / (1 + exp(-z[expert])) }
                continue
            }
            var largest = -Float.infinity
            for expert in 0..<count { largest = max(largest, z[expert]) }
            var sum: Float = 0
            for expert in 0..<count {
                s[expert] = exp(z[expert] - largest)
                sum += s[expert]
            }
            for expert in 0..<count { s[expert] /= sum }
        }
    }

    /// Chooses the experts of one row and weighs them.
    /// - Parameter bias: [E], added to the scores for choosing only; nil: none.
    static func choose(
        _ routing: Routing, _ policy: RouterPolicy, bias: UnsafePointer<Float>?, row: Int, choices: Int
    ) {
        if policy.score == .sparseMixer {
            chooseSparseMixer(routing, row: row, choices: choices, jitter: policy.jitter)
        } else if bias == nil, policy.select.groups == nil {
            chooseLargest(of: routing.scores + row * routing.expertCount, routing, row: row, choices: choices)
        } else {
            chooseBiased(routing, policy, bias: bias, row: row, choices: choices)
        }
        clear(routing, row: row, from: choices)
        weigh(routing.weights + row * routing.width, choices, policy.weigh)
    }

    /// Divides the weights by their sum, where the model does so, and scales them.
    static func weigh(_ weights: UnsafeMutablePointer<Float>, _ count: Int, _ weighing: RouterPolicy.Weighing) {
        if weighing.normalizes {
            var sum: Float = 0
            for place in 0..<count { sum += weights[place] }
            sum += weighing.epsilon
            if sum > 0 { for place in 0..<count { weights[place] /= sum } }
        }
        if weighing.scale != 1 { for place in 0..<count { weights[place] *= weighing.scale } }
    }

    /// The `choices` experts of one row with the largest values, by falling value; equal ones go to the lower index.
    ///
    /// Insertion into a short sorted list: E · K comparisons, no allocation.
    private static func chooseLargest(of values: UnsafePointer<Float>, _ routing: Routing, row: Int, choices: Int) {
        let indices = routing.indices + row * routing.width
        let weights = routing.weights + row * routing.width
        var filled = 0
        for expert in 0..<routing.expertCount {
            let weight = values[expert]
            if filled == choices, !(weight > weights[choices - 1]) { continue }
            var place = filled < choices ? filled : choices - 1
            while place > 0, weight > weights[place - 1] {
                weights[place] = weights[place - 1]
                indices[place] = indices[place - 1]
                place -= 1
            }
            weights[place] = weight
            indices[place] = Int32(expert)
            if filled < choices { filled += 1 }
        }
    }

    /// Chooses by biased scores, within the groups that are kept (`route_tokens_to_experts` of DeepSeek-V3 in transformers);
    /// weights are the scores without the bias, by falling weight.
    private static func chooseBiased(
        _ routing: Routing, _ policy: RouterPolicy, bias: UnsafePointer<Float>?, row: Int, choices: Int
    ) {
        let count = routing.expertCount
        let scores = routing.scores + row * count
        withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { selection in
            for expert in 0..<count {
                selection.initializeElement(at: expert, to: scores[expert] + (bias?[expert] ?? 0))
            }
            if let groups = policy.select.groups { dropGroups(selection, groups) }
            guard let base = selection.baseAddress else { return }
            chooseLargest(of: base, routing, row: row, choices: choices)
        }
        let indices = routing.indices + row * routing.width
        let weights = routing.weights + row * routing.width
        for place in 0..<choices { weights[place] = scores[Int(indices[place])] }
        for place in 1..<max(1, choices) {
            var at = place
            while at > 0, (weights[at], indices[at - 1]) > (weights[at - 1], indices[at]) {
                (weights[at], weights[at - 1]) = (weights[at - 1], weights[at])
                (indices[at], indices[at - 1]) = (indices[at - 1], indices[at])
                at -= 1
            }
        }
    }

    /// Puts −∞ for the experts of all groups but the best `kept`.
    private static func dropGroups(_ selection: UnsafeMutableBufferPointer<Float>, _ groups: RouterPolicy.Groups) {
        let size = selection.count / groups.count
        withUnsafeTemporaryAllocation(of: Float.self, capacity: groups.count) { values in
            for group in 0..<groups.count {
                var (first, second) = (-Float.infinity, -Float.infinity)
                for expert in group * size..<(group + 1) * size {
                    let value = selection[expert]
                    if value > first { (first, second) = (value, first) } else if value > second { second = value }
                }
                let sum = size > 1 ? first + second : first
                values.initializeElement(at: group, to: groups.scoring == .largest ? first : sum)
            }
            for group in 0..<groups.count {
                // Groups that come before this one: better ones, and equal ones of lower index.
                var before = 0
                for other in 0..<groups.count
                where values[other] > values[group] || (values[other] == values[group] && other < group) {
                    before += 1
                }
                guard before >= groups.kept else { continue }
                for expert in group * size..<(group + 1) * size { selection[expert] = -.infinity }
            }
        }
    }

    /// Phi-3.5-MoE's choice of two (SparseMixer, arXiv 2409.12136; `sparsemixer` in transformers): each weight is a
    /// softmax over the logits that are near the largest one, the second without the first choice.
    private static func chooseSparseMixer(_ routing: Routing, row: Int, choices: Int, jitter: Float) {
        let z = routing.logits + row * routing.expertCount
        let indices = routing.indices + row * routing.width
        let weights = routing.weights + row * routing.width
        for place in 0..<choices {
            let isTaken = { (expert: Int) in (0..<place).contains { indices[$0] == Int32(expert) } }
            var best = -1
            for expert in 0..<routing.expertCount where !isTaken(expert) && (best < 0 || z[expert] > z[best]) {
                best = expert
            }
            var sum: Float = 0
            for expert in 0..<routing.expertCount where !isTaken(expert) {
                let distance = (z[best] - z[expert]) / max(abs(z[expert]), z[best])
                if !(distance > 2 * jitter) { sum += exp(z[expert] - z[best]) }
            }
            indices[place] = Int32(best)
            weights[place] = 1 / sum
        }
    }

    /// Marks the choices a row does not use: weight 0, and an index that is no expert's.
    static func clear(_ routing: Routing, row: Int, from first: Int) {
        for place in row * routing.width + first..<(row + 1) * routing.width {
            routing.weights[place] = 0
            routing.indices[place] = Int32(routing.expertCount)
        }
    }
}
