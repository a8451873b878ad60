import Foundation

/// Memory that is filled from other bytes when it is needed, and can be given back and filled again: weights that the engine
/// cannot compute with as they lie in their file.
///
/// Address space is taken at once, memory when it is filled. Whoever reads the bytes holds them meanwhile; they are zeros
/// before the first one does, and may be zeros after the last one has let go.
public final class ProducedMemory: @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    private let byteCount: Int
    private let produce: @Sendable (UnsafeMutableRawBufferPointer) -> Void
    private let lock = RemadeAfterFork { NSLock() }
    private var isFilled = false
    private var holders = 0

    /// - Parameter produce: fills the bytes, the same each time; called under a lock.
    /// - Returns: nil where there is no address space of this size.
    public init?(byteCount: Int, produce: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void) {
        // A cache line more than asked, so that kernels may read (not use) to the end of a vector.
        let size = byteCount + 64
        guard byteCount >= 0,
            let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            memory != MAP_FAILED
        else { return nil }
        base = memory
        self.byteCount = byteCount
        self.produce = produce
    }

    deinit { munmap(base, byteCount + 64) }

    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }

    /// Fills the memory if it is not filled.
    public func fill() { lock.current.withLock { fillIfEmpty() } }

    /// Fills the memory and keeps it filled until as many calls of `letGo` follow.
    public func hold() {
        lock.current.withLock {
            fillIfEmpty()
            holders += 1
        }
    }

    /// The opposite of `hold`: the last holder gives the memory back.
    public func letGo() {
        lock.current.withLock {
            holders -= 1
            guard holders <= 0, isFilled else { return }
            MemoryAdvice.doNotNeed.apply(to: UnsafeRawBufferPointer(start: base, count: byteCount))
            // The partial page at the end keeps what it has; filling writes it again.
            isFilled = false
        }
    }

    private func fillIfEmpty() {
        guard !isFilled else { return }
        produce(UnsafeMutableRawBufferPointer(start: base, count: byteCount))
        isFilled = true
    }
}

extension Tensor {
    /// The memory that must be filled before the bytes are read; nil: they are there.
    public var produced: ProducedMemory? { owner as? ProducedMemory }

    /// Runs `body` while the bytes are there.
    public func whileHeld<R>(_ body: () throws -> R) rethrows -> R {
        guard let produced else { return try body() }
        produced.hold()
        defer { produced.letGo() }
        return try body()
    }
}
