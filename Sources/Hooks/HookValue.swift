import Tensors

/// What an observer sees: a view of the engine's own memory, valid during the call only (it cannot be copied out).
public struct HookValue: ~Copyable {
    /// F32, or I32 at `expert_indices`.
    public let dtype: DType
    /// As the site's `shape` says, row-major.
    public let shape: [Int]
    /// At `attn.scores` and `attn.pattern`: which document of the batch; nil elsewhere.
    public let document: Int?
    /// At `attn.scores` and `attn.pattern`: the heads along the first dimension; nil elsewhere.
    public let heads: [Int]?
    fileprivate let memory: UnsafeMutableRawPointer

    package init(
        dtype: DType, shape: [Int], memory: UnsafeMutableRawPointer, document: Int? = nil, heads: [Int]? = nil
    ) {
        self.dtype = dtype
        self.shape = shape
        self.memory = memory
        self.document = document
        self.heads = heads
    }

    /// Number of elements.
    public var count: Int { shape.reduce(1, *) }

    /// - Precondition: the value is F32.
    public borrowing func withFloats<R, E: Error>(_ body: (UnsafeBufferPointer<Float>) throws(E) -> R) throws(E) -> R {
        precondition(dtype == .f32)
        return try body(UnsafeBufferPointer(start: memory.assumingMemoryBound(to: Float.self), count: count))
    }

    /// - Precondition: the value is I32.
    public borrowing func withIndices<R, E: Error>(_ body: (UnsafeBufferPointer<Int32>) throws(E) -> R) throws(E) -> R {
        precondition(dtype == .i32)
        return try body(UnsafeBufferPointer(start: memory.assumingMemoryBound(to: Int32.self), count: count))
    }

    /// The elements as bytes, whatever their type.
    public borrowing func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: memory, count: count * dtype.blockBytes))
    }

    /// The value as it is now, for editing in place.
    package borrowing func editable() -> EditableHookValue {
        EditableHookValue(
            value: HookValue(dtype: dtype, shape: shape, memory: memory, document: document, heads: heads))
    }
}

/// What an editor gets: the same view, writable. What it writes is what the rest of the pass computes with.
public struct EditableHookValue: ~Copyable {
    public let value: HookValue

    package init(value: consuming HookValue) { self.value = value }

    /// - Precondition: the value is F32.
    public borrowing func withMutableFloats<R, E: Error>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws(E) -> R
    ) throws(E) -> R {
        precondition(value.dtype == .f32)
        return try body(
            UnsafeMutableBufferPointer(start: value.memory.assumingMemoryBound(to: Float.self), count: value.count))
    }

    /// - Precondition: the value is I32.
    public borrowing func withMutableIndices<R, E: Error>(
        _ body: (UnsafeMutableBufferPointer<Int32>) throws(E) -> R
    ) throws(E) -> R {
        precondition(value.dtype == .i32)
        return try body(
            UnsafeMutableBufferPointer(start: value.memory.assumingMemoryBound(to: Int32.self), count: value.count))
    }
}

/// Watches hook points. Called on the thread that runs the forward pass, between two steps of it.
public protocol HookObserver: AnyObject {
    /// - Throws: anything; the pass stops and the error reaches its caller unchanged.
    func observe(_ point: HookPoint, _ value: borrowing HookValue) throws
}

/// Changes values at hook points, before observers of the same point see them.
public protocol HookEditor: AnyObject {
    /// - Throws: anything; the pass stops and the error reaches its caller unchanged.
    func edit(_ point: HookPoint, _ value: borrowing EditableHookValue) throws
}
