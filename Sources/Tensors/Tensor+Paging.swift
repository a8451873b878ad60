/// Hints to the kernel for tensors in memory-mapped files. Nothing changes but what is in memory, and when.
extension Tensor {
    /// Starts reading the tensor from disk, so that it is in memory when it is needed. Returns once the reads are asked
    /// for, which can take as long as the disk's queue is full: call it from a thread of its own.
    public func prefetch() { MemoryAdvice.willNeed.apply(to: bytes) }

    /// Lets go of the tensor's pages: the process's resident memory falls, and the next use reads them again.
    ///
    /// Only for tensors in mapped files: in other memory it would lose their content.
    public func releasePages() { MemoryAdvice.doNotNeed.apply(to: bytes) }
}
