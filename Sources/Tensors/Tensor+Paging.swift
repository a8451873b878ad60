/// Hints to the kernel for tensors in memory-mapped files. Nothing changes but what is in memory, and when.
extension Tensor {
    /// Starts reading the tensor from disk, so that it is in memory when it is needed. Returns once the reads are asked
    /// for, which can take as long as the disk's queue is full: call it from a thread of its own.
    public func prefetch() {
        if let produced { produced.fill() } else { MemoryAdvice.willNeed.apply(to: bytes) }
    }

    /// Lets go of the tensor's pages: the process's resident memory falls, and the next use reads them again.
    ///
    /// Does nothing for a tensor in memory of its own, which would lose its content.
    public func releasePages() { releasePages(bytes) }

    /// The same for a part of the tensor's bytes.
    public func releasePages(_ part: UnsafeRawBufferPointer) {
        guard !(owner is AlignedBuffer), !(owner is ProducedMemory) else { return }
        MemoryAdvice.doNotNeed.apply(to: part)
    }
}
