import Foundation
import Hooks
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
    /// [T, E]
    let probs: UnsafeMutablePointer<Float>
    /// [T, W], by falling weight
    let indices: UnsafeMutablePointer<Int32>
    /// [T, W]
    let weights: UnsafeMutablePointer<Float>
}

/// Softmax over all experts, the K largest, their weights renormalized where the model does so
/// (arXiv 2401.04088 §2.1; `MixtralTopKRouter` in transformers).
enum Router {
    /// p = softmax(z), in f32, for rows of the range.
    static func softmax(_ routing: Routing, rows: Range<Int>) {
        let count = routing.expertCount
        for row in rows {
            let z = routing.logits + row * count
            let p = routing.probs + row * count
            var largest = -Float.infinity
            for expert in 0..<count { largest = max(largest, z[expert]) }
            var sum: Float = 0
            for expert in 0..<count {
                p[expert] = exp(z[expert] - largest)
                sum += p[expert]
            }
            for expert in 0..<count { p[expert] /= sum }
        }
    }

    /// Chooses the `choices` most probable experts of one row; equal probabilities go to the lower index.
    ///
    /// Insertion into a short sorted list: E · K comparisons, no allocation.
    static func choose(_ routing: Routing, row: Int, choices: Int, renormalize: Bool) {
        let p = routing.probs + row * routing.expertCount
        let indices = routing.indices + row * routing.width
        let weights = routing.weights + row * routing.width
        var filled = 0
        for expert in 0..<routing.expertCount {
            let weight = p[expert]
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
        clear(routing, row: row, from: choices)
        if renormalize { divideBySum(weights, choices) }
    }

    /// Phi-3.5-MoE's choice of two (SparseMixer, arXiv 2409.12136; `sparsemixer` in transformers): each weight is a
    /// softmax over the logits that are near the largest one, the second without the first choice.
    static func chooseSparseMixer(_ routing: Routing, row: Int, choices: Int, jitter: Float) {
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
        clear(routing, row: row, from: choices)
    }

    /// Marks the choices a row does not use: weight 0, and an index that is no expert's.
    static func clear(_ routing: Routing, row: Int, from first: Int) {
        for place in row * routing.width + first..<(row + 1) * routing.width {
            routing.weights[place] = 0
            routing.indices[place] = Int32(routing.expertCount)
        }
    }

    static func divideBySum(_ weights: UnsafeMutablePointer<Float>, _ count: Int) {
        var sum: Float = 0
        for place in 0..<count { sum += weights[place] }
        guard sum > 0 else { return }
        for place in 0..<count { weights[place] /= sum }
    }
}
