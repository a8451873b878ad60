import Foundation
import Tensors

/// Memory that forward passes use again and again; grows to the largest pass, so a decoded token allocates nothing.
final class Workspace {
    private var buffers: [Slot: AlignedBuffer] = [:]
    let attentionInput = Kernels.PackingBuffer()
    let attentionOutput = Kernels.PackingBuffer()
    let expertInput = Kernels.PackingBuffer()
    let expertHidden = Kernels.PackingBuffer()

    enum Slot {
        case residual, normed, branch, query, key, value, headOutputs
        case routerLogits, routerScores, expertIndices, expertWeights
        case expertHidden, expertOutput, rankedOutput, summary, sharedOutput, sharedGate
        case dispatchRows, dispatchPlaces, dispatchStarts
        case logits, tileMaxima, tileSums, targetLogits
    }

    func matrix(_ slot: Slot, rows: Int, columns: Int) -> Matrix {
        Matrix(memory(slot, Float.self, count: rows * columns), rows: rows, columns: columns)
    }

    func memory<Element: BitwiseCopyable>(
        _ slot: Slot, _ type: Element.Type, count: Int
    ) -> UnsafeMutablePointer<Element> {
        let byteCount = count * MemoryLayout<Element>.stride
        if let buffer = buffers[slot], buffer.byteCount >= byteCount { return buffer.bound(to: type) }
        let buffer = AlignedBuffer(byteCount: byteCount)
        buffers[slot] = buffer
        return buffer.bound(to: type)
    }
}

/// A lock that a closure is run under.
final class Turn: @unchecked Sendable {
    private let locks = RemadeAfterFork { NSLock() }

    func take<R>(_ body: () throws -> R) rethrows -> R {
        let lock = locks.current
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }
}
