import Tensors

/// f32 rows in memory that someone else owns. Row i starts at `base + i * stride`.
struct Matrix {
    let base: UnsafeMutablePointer<Float>
    let rows: Int
    let columns: Int
    let stride: Int

    init(_ base: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
        self.base = base
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
    }

    func row(_ index: Int) -> UnsafeMutablePointer<Float> { base + index * stride }

    /// Rows of the range, same columns.
    func rows(_ range: Range<Int>) -> Matrix {
        Matrix(base + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
    }
}

/// A matrix that owns its memory.
struct OwnedMatrix {
    private let buffer: AlignedBuffer
    let matrix: Matrix

    init(rows: Int, columns: Int) {
        buffer = AlignedBuffer(Float.self, count: rows * columns)
        matrix = Matrix(buffer.bound(to: Float.self), rows: rows, columns: columns)
    }
}
