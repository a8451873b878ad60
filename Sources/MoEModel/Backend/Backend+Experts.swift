import CKernels
import Foundation
import Tensors

/// Rows sorted by expert: which rows each expert computes, and where each row finds its outputs again.
///
/// T rows · E experts · W choices per row · N assignments, the choices that are computed.
struct ExpertDispatch {
    let routing: Routing
    /// [N]: row of each assignment; an expert's rows rise, and experts follow one another.
    fileprivate let rows: UnsafeMutablePointer<Int32>
    /// [E + 1]: first assignment of each expert, and the end.
    fileprivate let starts: UnsafeMutablePointer<Int32>
    /// [T, W]: assignment of each choice; −1 where a choice has weight 0 and is not computed.
    fileprivate let places: UnsafeMutablePointer<Int32>

    /// Assignments, N.
    var count: Int { Int(starts[routing.expertCount]) }

    /// Assignments of an expert.
    func range(_ expert: Int) -> Range<Int> { Int(starts[expert])..<Int(starts[expert + 1]) }

    /// Assignments of consecutive experts.
    func range(_ experts: Range<Int>) -> Range<Int> {
        Int(starts[experts.lowerBound])..<Int(starts[experts.upperBound])
    }

    /// Row numbers of an expert's assignments, [n, 1].
    func rows(_ expert: Int) -> IndexMatrix {
        let range = range(expert)
        return IndexMatrix(rows + range.lowerBound, rows: range.count, columns: 1)
    }
}

extension Backend {
    /// Sorts the choices of a routing by expert. The result is valid until the next call.
    func dispatch(_ routing: Routing) -> ExpertDispatch {
        let slots = routing.rows * routing.width
        let rows = workspace.memory(.dispatchRows, Int32.self, count: slots)
        let places = workspace.memory(.dispatchPlaces, Int32.self, count: slots)
        let starts = workspace.memory(.dispatchStarts, Int32.self, count: routing.expertCount + 1)
        starts.update(repeating: 0, count: routing.expertCount + 1)
        // `starts[e]` first counts the choices of e, then holds the end of e, and falls to its beginning as rows are placed
        // from the last to the first.
        for slot in 0..<slots where routing.computes(slot) { starts[Int(routing.indices.base[slot])] += 1 }
        for expert in 0..<routing.expertCount { starts[expert + 1] += starts[expert] }
        for slot in stride(from: slots - 1, through: 0, by: -1) {
            guard routing.computes(slot) else {
                places[slot] = -1
                continue
            }
            let expert = Int(routing.indices.base[slot])
            starts[expert] -= 1
            rows[Int(starts[expert])] = Int32(slot / routing.width)
            places[slot] = starts[expert]
        }
        return ExpertDispatch(routing: routing, rows: rows, starts: starts, places: places)
    }

    /// h = silu(x · Gₑᵀ) ⊙ (x · Uₑᵀ) of consecutive experts, each for its own rows of x.
    /// - Parameters:
    ///   - x: [T, D].
    ///   - gate, up: all experts' matrices, [F, D] each.
    ///   - clamp: biases and bounds of gate and up; nil: there are none.
    ///   - hidden: [assignments of `experts`, F].
    func projectGated(
        _ x: Matrix, _ dispatch: ExpertDispatch, _ experts: Range<Int>, gate: [Tensor], up: [Tensor],
        clamp: ClampedGate? = nil, into hidden: Matrix
    ) {
        // Functions, because a closure that is kept in a variable is allocated.
        func rangeOf(_ index: Int) -> Range<Int> { dispatch.range(experts.lowerBound + index) }
        let first = experts.lowerBound
        let start = dispatch.range(experts).lowerBound
        packGroups(experts.count, columns: x.columns, for: gate[first].dtype, mode, rows: { rangeOf($0).count }) {
            (x, UnsafePointer(dispatch.rows) + rangeOf($0).lowerBound)
        }
        multiplyGated(experts.count, clamp: clamp, from: first) { index in
            let y = hidden.rows(rangeOf(index).from(start))
            return (Product(x: packing.groups[index], weights: gate[first + index], y: y), up[first + index])
        }
    }

    /// y = h · Dₑᵀ of consecutive experts, each for its own assignments.
    /// - Parameters:
    ///   - hidden: [assignments of `experts`, F].
    ///   - down: all experts' matrices, [D, F] each.
    ///   - outputs: [N, D], every expert's assignments.
    func project(
        _ hidden: Matrix, _ dispatch: ExpertDispatch, _ experts: Range<Int>, down: [Tensor], into outputs: Matrix
    ) {
        func rangeOf(_ index: Int) -> Range<Int> { dispatch.range(experts.lowerBound + index) }
        let first = experts.lowerBound
        let start = dispatch.range(experts).lowerBound
        packGroups(
            experts.count, columns: hidden.columns, for: down[first].dtype, fineMode, rows: { rangeOf($0).count }
        ) {
            (hidden.rows(rangeOf($0).from(start)), nil)
        }
        multiply(experts.count) { index in
            Product(x: packing.groups[index], weights: down[first + index], y: outputs.rows(rangeOf(index)))
        }
    }

    /// outputs += bias of the expert, for the assignments of consecutive experts.
    /// - Parameter bias: [E, D].
    func addBias(_ bias: FloatVector, of experts: Range<Int>, _ dispatch: ExpertDispatch, to outputs: Matrix) {
        for expert in experts {
            let own = dispatch.range(expert)
            let base = UnsafePointer(bias.base) + expert * outputs.columns
            forRows(own.count) { rows in
                for row in rows {
                    let out = outputs.row(own.lowerBound + row)
                    ck_add(out, base, Int64(outputs.columns), out)
                }
            }
        }
    }

    /// out = Σ weight · output over the choices of each row, in rising order of experts, so that the sum does not depend on
    /// what else is in the batch.
    /// - Parameters:
    ///   - outputs: [N, D].
    ///   - out: [T, D].
    func combine(_ outputs: Matrix, _ dispatch: ExpertDispatch, into out: Matrix) {
        let routing = dispatch.routing
        forRows(routing.rows) { rows in
            for row in rows {
                out.row(row).update(repeating: 0, count: out.columns)
                var last: Int32 = -1
                while let slot = Self.nextSlot(routing, row: row, after: &last) {
                    let place = dispatch.places[slot]
                    if place >= 0 {
                        ck_add_scaled(
                            outputs.row(Int(place)), routing.weights.base[slot], Int64(out.columns), out.row(row))
                    }
                }
            }
        }
    }

    /// The slot of `row` with the lowest key (expert, rank) above `last`, which it advances.
    private static func nextSlot(_ routing: Routing, row: Int, after last: inout Int32) -> Int? {
        var best: (key: Int32, slot: Int)?
        for rank in 0..<routing.width {
            let slot = row * routing.width + rank
            let key = routing.indices.base[slot] * Int32(routing.width) + Int32(rank)
            if key > last, key < best?.key ?? .max { best = (key, slot) }
        }
        if let best { last = best.key }
        return best?.slot
    }

    /// out += σ(gates[row]) · x, every row.
    /// - Parameter gates: [T, 1].
    func add(_ x: Matrix, timesSigmoidOf gates: Matrix, to out: Matrix) {
        forRows(x.rows) { rows in
            for row in rows {
                let weight = 1 / (1 + exp(-gates.row(row)[0]))
                ck_add_scaled(x.row(row), weight, Int64(out.columns), out.row(row))
            }
        }
    }

    /// Copies assignments' outputs to the order of the choices; a choice that is not computed gets zeros.
    /// - Parameters:
    ///   - outputs: [N, D].
    ///   - ranked: [T · W, D].
    func gather(_ outputs: Matrix, _ dispatch: ExpertDispatch, into ranked: Matrix) {
        for slot in 0..<ranked.rows {
            let place = Int(dispatch.places[slot])
            if place >= 0 {
                ranked.row(slot).update(from: outputs.row(place), count: ranked.columns)
            } else {
                ranked.row(slot).update(repeating: 0, count: ranked.columns)
            }
        }
    }

    /// Copies the choices' outputs back to the order of the assignments: the inverse of `gather`.
    func scatter(_ ranked: Matrix, _ dispatch: ExpertDispatch, into outputs: Matrix) {
        for slot in 0..<ranked.rows where dispatch.places[slot] >= 0 {
            outputs.row(Int(dispatch.places[slot])).update(from: ranked.row(slot), count: ranked.columns)
        }
    }
}

extension Routing {
    /// Whether a choice has anything to add: a weight, and an expert.
    fileprivate func computes(_ slot: Int) -> Bool {
        weights.base[slot] != 0 && indices.base[slot] < Int32(expertCount)
    }
}

extension Range<Int> {
    /// The same range counted from `start`.
    fileprivate func from(_ start: Int) -> Range<Int> { lowerBound - start..<upperBound - start }
}
