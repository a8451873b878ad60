/// Uninitialized memory aligned to 64 bytes, freed when the last reference goes.
///
/// The caller decides who writes when; the buffer itself does not synchronize.
public final class AlignedBuffer: @unchecked Sendable {
    public let memory: UnsafeMutableRawPointer
    public let byteCount: Int

    /// - Precondition: `byteCount` is not negative.
    public init(byteCount: Int) {
        precondition(byteCount >= 0)
        self.byteCount = byteCount
        // A whole cache line more than asked, so that kernels may read (not use) to the end of a vector.
        memory = .allocate(byteCount: byteCount + 64, alignment: 64)
    }

    /// A copy of some bytes.
    public convenience init(copying source: UnsafeRawBufferPointer) {
        self.init(byteCount: source.count)
        bytes.copyMemory(from: source)
    }

    deinit { memory.deallocate() }

    /// The bytes that were asked for.
    public var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: memory, count: byteCount) }

    /// Room for `count` elements of a plain type.
    public convenience init<Element: BitwiseCopyable>(_ type: Element.Type, count: Int) {
        self.init(byteCount: count * MemoryLayout<Element>.stride)
    }

    public func bound<Element: BitwiseCopyable>(to type: Element.Type) -> UnsafeMutablePointer<Element> {
        memory.assumingMemoryBound(to: type)
    }
}
