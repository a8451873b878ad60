import CPython
import Tensors

/// Memory that Python sees as an array: row-major, kept alive by whoever owns it.
final class ArrayStorage: @unchecked Sendable {
    let memory: UnsafeMutableRawPointer
    let dtype: DType
    let shape: [Int]
    let isReadOnly: Bool
    /// Whatever keeps `memory` valid.
    let owner: AnyObject
    /// Shape, then strides in bytes, then strides in elements, where C readers can point at them for as long as the
    /// array lives.
    private let layout: UnsafeMutablePointer<Int>

    /// - Precondition: `memory` holds the elements of `shape`, and `dtype` is a plain type.
    init(memory: UnsafeMutableRawPointer, dtype: DType, shape: [Int], isReadOnly: Bool, owner: AnyObject) {
        precondition(dtype.blockElements == 1)
        self.memory = memory
        self.dtype = dtype
        self.shape = shape
        self.isReadOnly = isReadOnly
        self.owner = owner
        layout = .allocate(capacity: 3 * max(1, shape.count))
        var stride = 1
        for axis in shape.indices.reversed() {
            layout[axis] = shape[axis]
            layout[shape.count + axis] = stride * dtype.blockBytes
            layout[2 * shape.count + axis] = stride
            stride *= max(1, shape[axis])
        }
    }

    deinit { layout.deallocate() }

    var count: Int { shape.reduce(1, *) }
    var byteCount: Int { count * dtype.blockBytes }
    var shapePointer: UnsafeMutablePointer<Int> { layout }
    var byteStrides: UnsafeMutablePointer<Int> { layout + shape.count }
    var elementStrides: UnsafeMutablePointer<Int> { layout + 2 * shape.count }

    /// An array of its own memory, not yet written.
    convenience init(uninitialized dtype: DType, shape: [Int], isReadOnly: Bool = false) {
        let buffer = AlignedBuffer(byteCount: shape.reduce(dtype.blockBytes, *))
        self.init(memory: buffer.memory, dtype: dtype, shape: shape, isReadOnly: isReadOnly, owner: buffer)
    }

    /// An array that owns a copy of `values`.
    convenience init<Element: BitwiseCopyable>(copying values: [Element], dtype: DType, shape: [Int]) {
        self.init(uninitialized: dtype, shape: shape)
        precondition(values.count * MemoryLayout<Element>.stride == byteCount)
        values.withUnsafeBytes {
            memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: $0.count)
        }
    }

    /// Rows of the first axis, or entries of a deeper one, as an array over the same memory.
    func view(offset elements: Int, shape: [Int]) -> ArrayStorage {
        precondition(elements >= 0 && elements + shape.reduce(1, *) <= count)
        return ArrayStorage(
            memory: memory + elements * dtype.blockBytes, dtype: dtype, shape: shape, isReadOnly: isReadOnly,
            owner: owner)
    }
}

/// How each interface spells an element type.
extension DType {
    /// `struct` module letter, for the buffer protocol.
    var bufferFormat: StaticString {
        switch self {
        case .f64: "d"
        case .f32: "f"
        case .f16: "e"
        case .i64: "q"
        case .i32: "i"
        case .i16: "h"
        case .i8: "b"
        case .u16: "H"
        case .bool: "?"
        default: "B"
        }
    }

    /// NumPy's array-interface type string.
    var arrayInterfaceType: String {
        switch self {
        case .f64: "<f8"
        case .f32: "<f4"
        case .f16: "<f2"
        case .i64: "<i8"
        case .i32: "<i4"
        case .i16: "<i2"
        case .i8: "|i1"
        case .u16: "<u2"
        case .bool: "|b1"
        default: "|u1"
        }
    }

    /// DLPack's kind: 0 signed, 1 unsigned, 2 float, 6 bool.
    var dlpackCode: UInt8 {
        switch self {
        case .f64, .f32, .f16: 2
        case .i64, .i32, .i16, .i8: 0
        case .bool: 6
        default: 1
        }
    }

    /// NumPy's name.
    var numpyName: String {
        switch self {
        case .f64: "float64"
        case .f32: "float32"
        case .f16: "float16"
        case .i64: "int64"
        case .i32: "int32"
        case .i16: "int16"
        case .i8: "int8"
        case .u16: "uint16"
        case .bool: "bool"
        default: "uint8"
        }
    }
}
