import CKernels
import Foundation
import Tensors

/// Operations that compute every row alone, in the same order whatever the other rows, so that no result depends on what
/// else is in a batch. `into` may be the input itself.
extension Backend {
    // MARK: Norms

    /// out = x / √(mean(x²) + ε) · weight, every row (arXiv 1910.07467).
    func rmsNorm(_ x: Matrix, weight: FloatVector, epsilon: Float, into out: Matrix) {
        forRows(x.rows) { rows in
            ck_rmsnorm(
                x.row(rows.lowerBound), Int64(x.stride), weight.base, epsilon, Int64(rows.count), Int64(x.columns),
                out.row(rows.lowerBound), Int64(out.stride))
        }
    }

    /// out = (x − mean) / √(variance + ε) · weight + bias, every row (arXiv 1607.06450).
    func layerNorm(_ x: Matrix, weight: FloatVector, bias: FloatVector?, epsilon: Float, into out: Matrix) {
        forRows(x.rows) { rows in
            for row in rows {
                Self.layerNorm(x.row(row), weight.base, bias?.base, epsilon, x.columns, out.row(row))
            }
        }
    }

    private static func layerNorm(
        _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?, _ epsilon: Float,
        _ count: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        var sum: Float = 0
        for i in 0..<count { sum += x[i] }
        let mean = sum / Float(count)
        var squares: Float = 0
        for i in 0..<count { squares += (x[i] - mean) * (x[i] - mean) }
        let scale = 1 / (squares / Float(count) + epsilon).squareRoot()
        for i in 0..<count { out[i] = (x[i] - mean) * scale * weight[i] + (bias?[i] ?? 0) }
    }

    // MARK: Sums and scales

    /// out = x
    func copy(_ x: Matrix, into out: Matrix) {
        forRows(x.rows) { rows in
            for row in rows { out.row(row).update(from: x.row(row), count: x.columns) }
        }
    }

    /// x *= σ(gates), element by element.
    /// - Parameter gates: of the shape of x.
    func multiply(_ x: Matrix, bySigmoidOf gates: Matrix) {
        forRows(x.rows) { rows in
            for row in rows {
                let (x, gates, count) = (x.row(row), gates.row(row), x.columns)
                for column in 0..<count { x[column] *= 1 / (1 + exp(-gates[column])) }
            }
        }
    }

    /// x += scale · y
    func add(_ y: Matrix, times scale: Float = 1, to x: Matrix) {
        forRows(x.rows) { rows in
            for row in rows {
                if scale == 1 {
                    ck_add(x.row(row), y.row(row), Int64(x.columns), x.row(row))
                } else {
                    ck_add_scaled(y.row(row), scale, Int64(x.columns), x.row(row))
                }
            }
        }
    }

    /// x += bias, every row.
    func addBias(_ bias: FloatVector, to x: Matrix) {
        forRows(x.rows) { rows in
            for row in rows { ck_add(x.row(row), bias.base, Int64(x.columns), x.row(row)) }
        }
    }

    /// x *= factor
    func scale(_ x: Matrix, by factor: Float) {
        forRows(x.rows) { rows in
            for row in rows {
                for column in 0..<x.columns { x.row(row)[column] *= factor }
            }
        }
    }

    /// x = min(limit, max(−limit, x))
    func clip(_ x: Matrix, to limit: Float) {
        forRows(x.rows) { rows in
            for row in rows {
                for column in 0..<x.columns { x.row(row)[column] = min(limit, max(-limit, x.row(row)[column])) }
            }
        }
    }

    /// x = softmax(x), every row; −∞ becomes 0.
    func softmax(_ x: Matrix) {
        forRows(x.rows, chunk: 16) { rows in
            ck_softmax_rows(x.row(rows.lowerBound), Int64(x.stride), Int64(rows.count), Int64(x.columns))
        }
    }

    // MARK: Embeddings

    /// x[i] = embedding[tokens[i]], dequantized.
    /// - Parameter embedding: [V, D].
    func embed(_ tokens: [Int32], _ embedding: Tensor, into x: Matrix) {
        let type = Self.type(embedding.dtype)
        forRows(tokens.count) { rows in
            for row in rows {
                let source = embedding.bytes.baseAddress.map { $0 + Int(tokens[row]) * embedding.rowBytes }
                ck_dequantize(type, source, Int64(x.columns), x.row(row))
            }
        }
    }

    /// Rotates the heads of consecutive rows of one document by their positions' angles (arXiv 2104.09864), in place.
    /// - Parameters:
    ///   - heads: [rows, heads · d].
    ///   - position: of the first row in its document.
    ///   - first: element of a head that is turned first.
    func rotate(_ heads: Matrix, headSize: Int, from first: Int, _ table: RotaryTable, position: Int) {
        forRows(heads.rows) { rows in
            let place = position + rows.lowerBound
            ck_rope(
                heads.row(rows.lowerBound) + first, Int64(heads.stride), table.cosines.row(place),
                table.sines.row(place),
                Int64(rows.count), Int64(heads.columns / headSize), Int64(headSize), Int64(2 * table.cosines.columns),
                table.layout == .halves ? CK_ROPE_HALVES : CK_ROPE_PAIRS)
        }
    }

    /// z = x · Wᵀ in f32, for few outputs: the router of a layer.
    /// - Parameter weights: [outputs, columns of x], row after row.
    func multiply(_ x: Matrix, _ weights: FloatVector, into z: Matrix) {
        forRows(x.rows) { rows in
            for row in rows {
                for output in 0..<z.columns {
                    z.row(row)[output] = ck_dot(x.row(row), weights.base + output * x.columns, Int64(x.columns))
                }
            }
        }
    }

    // MARK: To and from arrays

    /// Copies an array, row after row, into a contiguous matrix.
    /// - Precondition: the array has the matrix's size.
    func write(_ values: [Float], to x: Matrix) {
        precondition(values.count == x.rows * x.columns && x.isContiguous)
        values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { x.base.update(from: base, count: source.count) }
        }
    }

    /// Copies a contiguous matrix, row after row; allocates only where the array has another size.
    func read(_ x: Matrix, into values: inout [Float]) {
        precondition(x.isContiguous)
        let count = x.rows * x.columns
        if values.count != count { values = [Float](repeating: 0, count: count) }
        values.withUnsafeMutableBufferPointer { $0.baseAddress?.update(from: x.base, count: count) }
    }

    /// Whether every element of a contiguous matrix is a finite number.
    func isFinite(_ x: Matrix) -> Bool {
        precondition(x.isContiguous)
        var isFinite = true
        for index in 0..<x.rows * x.columns where !x.base[index].isFinite { isFinite = false }
        return isFinite
    }

    /// sums[column] += Σ x², over the rows that `numbers` names, or over all.
    func addSquares(of x: Matrix, rows numbers: IndexMatrix? = nil, to sums: inout [Double]) {
        sums.withUnsafeMutableBufferPointer { sums in
            for index in 0..<(numbers?.rows ?? x.rows) {
                let row = x.row(numbers.map { Int($0.base[index]) } ?? index)
                for column in 0..<x.columns { sums[column] += Double(row[column]) * Double(row[column]) }
            }
        }
    }

    /// Index of the first element of a weight tensor that is infinite or NaN; nil where there is none. Reads every byte.
    static func firstNonFinite(_ tensor: Tensor) -> Int? {
        guard tensor.dtype.blockElements > 1 else { return tensor.firstNonFinite() }
        let columns = tensor.shape.last ?? 1
        let buffer = AlignedBuffer(Float.self, count: columns)
        return withExtendedLifetime(buffer) {
            let row = buffer.bound(to: Float.self)
            // Merged experts have three dimensions, a norm has one.
            let rows = tensor.reshaped([tensor.count / max(1, columns), columns])
            for index in 0..<rows.shape[0] {
                dequantize(rows.rows(index..<index + 1), into: row)
                for column in 0..<columns where !row[column].isFinite { return index * columns + column }
            }
            return nil
        }
    }
}
