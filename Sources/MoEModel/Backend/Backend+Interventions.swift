import Foundation
import Tensors

/// What interventions change of a routing, row by row. Where `rows` is nil, every row is changed.
extension Backend {
    // MARK: Logits, [T, E]

    /// z[experts] = −∞
    func exclude(_ experts: [Int], _ z: Matrix, rows: [Int]?) {
        forEach(rows, of: z.rows) { row in
            for expert in experts { z.row(row)[expert] = -.infinity }
        }
    }

    /// z[experts] += strength · std(z), the population standard deviation of the row's finite logits.
    func steer(_ experts: [Int], by strength: Float, _ z: Matrix, rows: [Int]?) {
        forEach(rows, of: z.rows) { row in
            let step = strength * Self.standardDeviation(z.row(row), z.columns)
            for expert in experts { z.row(row)[expert] += step }
        }
    }

    /// z[experts] = max(z) + margin
    func raise(_ experts: [Int], above margin: Float, _ z: Matrix, rows: [Int]?) {
        forEach(rows, of: z.rows) { row in
            var largest = -Float.infinity
            for expert in 0..<z.columns { largest = max(largest, z.row(row)[expert]) }
            for expert in experts { z.row(row)[expert] = largest + margin }
        }
    }

    /// z = standard normal numbers, from a generator for each row.
    func randomize(_ z: Matrix, rows: [Int]?, _ generator: (_ row: Int) -> SeededGenerator) {
        forEach(rows, of: z.rows) { row in
            var numbers = generator(row)
            for expert in 0..<z.columns { z.row(row)[expert] = numbers.normal() }
        }
    }

    private static func standardDeviation(_ z: UnsafePointer<Float>, _ count: Int) -> Float {
        var sum: Float = 0
        var squares: Float = 0
        var finite: Float = 0
        for expert in 0..<count where z[expert].isFinite {
            sum += z[expert]
            squares += z[expert] * z[expert]
            finite += 1
        }
        guard finite > 0 else { return 0 }
        let mean = sum / finite
        return max(0, squares / finite - mean * mean).squareRoot()
    }

    // MARK: Choices and weights, [T, W]

    /// weights of `experts` = 0; the others are divided by their sum and multiplied by the sum of before where
    /// `renormalize` says so.
    func ablate(_ experts: [Int], renormalize: Bool, _ routing: Routing, rows: [Int]?) {
        forEachChoice(routing, rows) { indices, weights in
            let total = (0..<routing.width).reduce(Float(0)) { $0 + weights[$1] }
            var left: Float = 0
            for place in 0..<routing.width {
                if experts.contains(Int(indices[place])) { weights[place] = 0 }
                left += weights[place]
            }
            if renormalize, left > 0 {
                for place in 0..<routing.width { weights[place] *= total / left }
            }
        }
    }

    /// weights of `experts` *= factor
    func scaleWeights(of experts: [Int], by factor: Float, _ routing: Routing, rows: [Int]?) {
        forEachChoice(routing, rows) { indices, weights in
            for place in 0..<routing.width where experts.contains(Int(indices[place])) { weights[place] *= factor }
        }
    }

    /// Sends the rows of one expert to another with the same weight.
    func replace(_ expert: Int, with other: Int, _ routing: Routing, rows: [Int]?) {
        forEachChoice(routing, rows) { indices, _ in
            for place in 0..<routing.width where indices[place] == Int32(expert) { indices[place] = Int32(other) }
        }
    }

    private func forEachChoice(
        _ routing: Routing, _ rows: [Int]?,
        _ body: (_ indices: UnsafeMutablePointer<Int32>, _ weights: UnsafeMutablePointer<Float>) -> Void
    ) {
        forEach(rows, of: routing.rows) { row in
            body(routing.indices.base + row * routing.width, routing.weights.row(row))
        }
    }
}
