import Foundation

/// What the engine tells the kernel about mapped weights it will need, or has done with.
public enum MemoryAdvice: Sendable {
    /// Start reading these pages from disk now.
    case willNeed
    /// These pages may leave memory.
    case doNotNeed

    /// Advises on the pages of `bytes`; `willNeed` takes in the partial pages at both ends, `doNotNeed` leaves them.
    public func apply(to bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        let start = UInt(bitPattern: base)
        let end = start + UInt(bytes.count)
        switch self {
        case .willNeed:
            let from = start / page * page
            _ = madvise(UnsafeMutableRawPointer(bitPattern: from), Int(end - from), MADV_WILLNEED)
        case .doNotNeed:
            let from = (start + page - 1) / page * page
            let to = end / page * page
            if to > from { _ = madvise(UnsafeMutableRawPointer(bitPattern: from), Int(to - from), MADV_DONTNEED) }
        }
    }
}
