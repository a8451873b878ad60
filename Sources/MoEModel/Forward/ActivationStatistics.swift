import Hooks

/// Sums of squares of what a model's matrices are multiplied with, by input column, while it reads texts.
///
/// Not for use from two threads at once.
public final class ActivationStatistics {
    /// Where a product takes its input from.
    public enum Input: Hashable, Sendable {
        /// The input of query, key and value.
        case attention(layer: Int)
        case attentionOutput(layer: Int)
        /// The input of an expert's gate and up, over the rows routed to it.
        case expert(layer: Int, Int)
        /// The input of an expert's down.
        case expertDown(layer: Int, Int)
        /// The inputs of a dense layer's gate and up, and of its down.
        case dense(layer: Int)
        case denseDown(layer: Int)
        case sharedExpert(layer: Int)
        case sharedExpertDown(layer: Int)
        /// The input of the output projection.
        case output
    }

    public struct Sums: Sendable {
        /// [columns]
        public internal(set) var squares: [Double]
        /// Rows summed.
        public internal(set) var rows = 0
    }

    public private(set) var sums: [Input: Sums] = [:]

    public init() {}

    /// Adds the rows of a matrix, [rows, columns]: those that `numbers` names, or all.
    func add(_ input: Input, _ matrix: Matrix, rows numbers: IndexMatrix? = nil, _ backend: Backend) {
        var entry = sums.removeValue(forKey: input) ?? Sums(squares: Array(repeating: 0, count: matrix.columns))
        backend.addSquares(of: matrix, rows: numbers, to: &entry.squares)
        entry.rows += numbers?.rows ?? matrix.rows
        sums[input] = entry
    }
}

extension Model {
    /// Reads documents and adds what the matrices were multiplied with.
    /// - Throws: as `forward`.
    public func measure(
        _ batch: TokenBatch, into statistics: ActivationStatistics, betweenLayers: (Int) throws -> Void = { _ in }
    ) throws {
        try run(batch, statistics: statistics, betweenLayers: betweenLayers)
    }
}
