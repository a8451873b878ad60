import Tensors

/// Copies what hooks show into memory that outlives the pass: the one observer for everything that keeps values.
///
/// Rows that a session shows step by step are appended to those of the steps before. A point that is shown once per document
/// (`attn.scores`, `attn.pattern`) keeps one value for each, in the order of the documents.
public final class HookRecorder: HookObserver {
    /// A copy of what a hook showed.
    public struct Value: Sendable {
        /// F32, or I32 at `expert_indices`.
        public let dtype: DType
        /// As the site's `shape` says, row-major.
        public private(set) var shape: [Int]
        /// At `attn.scores` and `attn.pattern`: which document of the batch; nil elsewhere.
        public let document: Int?
        /// At `attn.scores` and `attn.pattern`: the heads along the first dimension; nil elsewhere.
        public let heads: [Int]?
        /// The elements, contiguous, from the first byte on. Others may go on holding it without a copy.
        public private(set) var memory: AlignedBuffer

        fileprivate init(_ value: borrowing HookValue) {
            dtype = value.dtype
            shape = value.shape
            document = value.document
            heads = value.heads
            memory = AlignedBuffer(byteCount: value.count * value.dtype.blockBytes)
            write(value, at: 0)
        }

        /// Number of elements.
        public var count: Int { shape.reduce(1, *) }

        /// - Precondition: the value is F32.
        public var floats: [Float] { elements(.f32) }

        /// - Precondition: the value is I32.
        public var indices: [Int32] { elements(.i32) }

        private func elements<Element: BitwiseCopyable>(_ expected: DType) -> [Element] {
            precondition(dtype == expected)
            return withExtendedLifetime(memory) {
                Array(UnsafeBufferPointer(start: memory.bound(to: Element.self), count: count))
            }
        }

        private func write(_ value: borrowing HookValue, at byte: Int) {
            value.withBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                (memory.memory + byte).copyMemory(from: base, byteCount: bytes.count)
            }
        }

        /// Adds rows; the memory grows by doubling.
        fileprivate mutating func append(_ value: borrowing HookValue) {
            let used = count * dtype.blockBytes
            let needed = used + value.count * dtype.blockBytes
            if memory.byteCount < needed {
                let larger = AlignedBuffer(byteCount: max(needed, 2 * used))
                larger.memory.copyMemory(from: memory.memory, byteCount: used)
                memory = larger
            }
            write(value, at: used)
            shape[0] += value.shape[0]
        }
    }

    /// What each point showed.
    public private(set) var values: [HookPoint: [Value]] = [:]
    /// Points in the order in which they were shown.
    public private(set) var order: [HookPoint] = []

    public init() {}

    public func observe(_ point: HookPoint, _ value: borrowing HookValue) {
        order.append(point)
        var shown = values.removeValue(forKey: point) ?? []
        if point.site.beginsWithRows, shown.last?.shape.dropFirst() == value.shape.dropFirst() {
            shown[shown.count - 1].append(value)
        } else {
            shown.append(Value(value))
        }
        values[point] = shown
    }

    /// All f32 elements that a point showed, one value after the other; nil where it showed none.
    public func floats(_ point: HookPoint) -> [Float]? { values[point]?.flatMap(\.floats) }

    /// All i32 elements that a point showed, one value after the other; nil where it showed none.
    public func indices(_ point: HookPoint) -> [Int32]? { values[point]?.flatMap(\.indices) }

    /// The shape of the last value that a point showed; nil where it showed none.
    public func shape(_ point: HookPoint) -> [Int]? { values[point]?.last?.shape }
}
