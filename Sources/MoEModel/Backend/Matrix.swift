import Tensors

/// A view of f32 activations, [rows, columns], in memory that a backend owns.
///
/// The forward pass hands views to the operations of `Backend` and reads no element; only files in `Backend/` use `base`.
struct Matrix {
    let base: UnsafeMutablePointer<Float>
    let rows: Int
    let columns: Int
    /// Elements from one row to the next.
    let stride: Int

    init(_ base: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
        self.base = base
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
    }

    /// A view of values that someone else holds, row after row, for operations that only read it; nil where there are none.
    init?(reading values: UnsafeBufferPointer<Float>, columns: Int) {
        guard let first = values.baseAddress, columns > 0 else { return nil }
        // A view has one type of pointer, whether it is written through or not.
        self.init(UnsafeMutablePointer(mutating: first), rows: values.count / columns, columns: columns)
    }

    func row(_ index: Int) -> UnsafeMutablePointer<Float> { base + index * stride }

    /// The rows of a range, all columns.
    func rows(_ range: Range<Int>) -> Matrix {
        Matrix(base + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
    }

    /// The columns of a range, all rows.
    func columns(_ range: Range<Int>) -> Matrix {
        Matrix(base + range.lowerBound, rows: rows, columns: range.count, stride: stride)
    }

    var isContiguous: Bool { stride == columns }
}

/// A view of i32 numbers, [rows, columns], contiguous, in memory that a backend owns: chosen experts, row numbers.
struct IndexMatrix {
    let base: UnsafeMutablePointer<Int32>
    let rows: Int
    let columns: Int

    init(_ base: UnsafeMutablePointer<Int32>, rows: Int, columns: Int) {
        self.base = base
        self.rows = rows
        self.columns = columns
    }

    /// The numbers, row after row.
    var values: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: base, count: rows * columns) }

    /// The rows of a range, all columns.
    func rows(_ range: Range<Int>) -> IndexMatrix {
        IndexMatrix(base + range.lowerBound * columns, rows: range.count, columns: columns)
    }
}

/// A matrix that owns its memory, which is uninitialized at first.
struct OwnedMatrix {
    private let buffer: AlignedBuffer
    let matrix: Matrix

    init(rows: Int, columns: Int) {
        buffer = AlignedBuffer(Float.self, count: rows * columns)
        matrix = Matrix(buffer.bound(to: Float.self), rows: rows, columns: columns)
    }

    /// A matrix filled from a function of row and column.
    init(rows: Int, columns: Int, _ value: (_ row: Int, _ column: Int) -> Float) {
        self.init(rows: rows, columns: columns)
        for row in 0..<rows {
            for column in 0..<columns { matrix.row(row)[column] = value(row, column) }
        }
    }
}
