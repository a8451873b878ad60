import Foundation
import RouterPolicies
import Tensors

/// A `RouterPolicy` applied to every row of a batch: score → select → weigh, in f32.
///
/// T rows · E experts · W choices kept per row. Where `rows` is given, only these rows are computed; nil: all.
extension Backend {
    /// s = softmax(z) or σ(z), every row.
    /// - Parameter z, s: [T, E].
    func score(_ z: Matrix, _ score: RouterPolicy.Score, into s: Matrix) {
        let count = z.columns
        forRows(z.rows) { rows in
            for row in rows {
                let (z, s) = (z.row(row), s.row(row))
                if score == .sigmoid {
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
    }

    /// sums[row] = Σ x[row]; x[row] /= sums[row].
    /// - Parameter sums: [T, 1].
    func normalize(_ x: Matrix, sums: Matrix) {
        for row in 0..<x.rows {
            let values = x.row(row)
            let sum = (0..<x.columns).reduce(Float(0)) { $0 + values[$1] }
            for column in 0..<x.columns { values[column] /= sum }
            sums.row(row)[0] = sum
        }
    }

    /// x[row] *= factors[row], every row.
    /// - Parameter factors: [T, 1].
    func scale(_ x: Matrix, byRows factors: Matrix) {
        for row in 0..<x.rows {
            for column in 0..<x.columns { x.row(row)[column] *= factors.row(row)[0] }
        }
    }

    /// Chooses `choices` experts for each row and weighs them.
    /// - Parameter bias: [E], added to the scores for choosing only; nil: none.
    func choose(
        _ routing: Routing, _ policy: RouterPolicy, bias: FloatVector?, choices: Int, rows: [Int]? = nil
    ) {
        let bias = bias?.base
        forEach(rows, of: routing.rows) { row in
            let choice = RowChoice(routing, row)
            if policy.score == .sparseMixer {
                choice.takeSparseMixer(choices, jitter: policy.jitter)
            } else if bias == nil, policy.select.groups == nil {
                choice.takeLargest(choices, of: choice.scores)
            } else {
                choice.takeBiased(choices, bias: bias, policy.select.groups)
            }
            choice.clear(from: choices)
            choice.weigh(choices, policy.weigh)
        }
    }

    /// Gives each row the named experts, by falling score, whatever the router says; their weights are its own scores.
    func choose(_ experts: [Int], _ routing: Routing, _ policy: RouterPolicy, rows: [Int]?) {
        forEach(rows, of: routing.rows) { row in
            let choice = RowChoice(routing, row)
            let s = choice.scores
            for (place, expert) in experts.sorted(by: { (s[$1], $0) < (s[$0], $1) }).enumerated() {
                choice.indices[place] = Int32(expert)
                choice.weights[place] = s[expert]
            }
            choice.clear(from: experts.count)
            choice.weigh(experts.count, policy.weigh)
        }
    }

    /// The first number of a matrix that lies outside a range; nil where there is none.
    func first(outside range: ClosedRange<Int32>, _ indices: IndexMatrix) -> Int32? {
        for slot in 0..<indices.rows * indices.columns where !range.contains(indices.base[slot]) {
            return indices.base[slot]
        }
        return nil
    }

    func forEach(_ rows: [Int]?, of count: Int, _ body: (Int) -> Void) {
        if let rows {
            forRows(rows.count) { for index in $0 { body(rows[index]) } }
        } else {
            forRows(count) { for row in $0 { body(row) } }
        }
    }
}

/// The choice of one row.
private struct RowChoice {
    let expertCount: Int
    let width: Int
    /// [E]
    let logits: UnsafeMutablePointer<Float>
    /// [E]
    let scores: UnsafeMutablePointer<Float>
    /// [W]
    let indices: UnsafeMutablePointer<Int32>
    /// [W]
    let weights: UnsafeMutablePointer<Float>

    init(_ routing: Routing, _ row: Int) {
        expertCount = routing.expertCount
        width = routing.width
        logits = routing.logits.row(row)
        scores = routing.scores.row(row)
        indices = routing.indices.base + row * routing.width
        weights = routing.weights.row(row)
    }

    /// Divides the weights by their sum where the model does so, and scales them.
    func weigh(_ count: Int, _ weighing: RouterPolicy.Weighing) {
        if weighing.normalizes {
            var sum: Float = 0
            for place in 0..<count { sum += weights[place] }
            sum = max(sum + weighing.epsilon, weighing.leastSum ?? 0)
            if sum > 0 { for place in 0..<count { weights[place] /= sum } }
        }
        if weighing.scale != 1 { for place in 0..<count { weights[place] *= weighing.scale } }
    }

    /// The experts with the largest values, by falling value; of equal ones the lower index comes first.
    ///
    /// Insertion into a short sorted list: E · K comparisons, no allocation.
    func takeLargest(_ choices: Int, of values: UnsafePointer<Float>) {
        var filled = 0
        for expert in 0..<expertCount {
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
    func takeBiased(_ choices: Int, bias: UnsafePointer<Float>?, _ groups: RouterPolicy.Groups?) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: expertCount) { selection in
            for expert in 0..<expertCount {
                selection.initializeElement(at: expert, to: scores[expert] + (bias?[expert] ?? 0))
            }
            if let groups { Self.dropGroups(selection, groups) }
            guard let base = selection.baseAddress else { return }
            takeLargest(choices, of: base)
        }
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
    func takeSparseMixer(_ choices: Int, jitter: Float) {
        let z = logits
        for place in 0..<choices {
            let isTaken = { (expert: Int) in (0..<place).contains { indices[$0] == Int32(expert) } }
            var best = -1
            for expert in 0..<expertCount where !isTaken(expert) && (best < 0 || z[expert] > z[best]) {
                best = expert
            }
            var sum: Float = 0
            for expert in 0..<expertCount where !isTaken(expert) {
                let distance = (z[best] - z[expert]) / max(abs(z[expert]), z[best])
                if !(distance > 2 * jitter) { sum += exp(z[expert] - z[best]) }
            }
            indices[place] = Int32(best)
            weights[place] = 1 / sum
        }
    }

    /// Marks the choices that the row does not use: weight 0, and an index that is no expert's.
    func clear(from first: Int) {
        for place in first..<width {
            weights[place] = 0
            indices[place] = Int32(expertCount)
        }
    }
}
