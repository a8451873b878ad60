import Tensors

/// Memory that forward passes use again and again. It grows to the largest pass and never shrinks, so a decoded token
/// allocates nothing.
final class Workspace {
    private var buffers: [Slot: AlignedBuffer] = [:]

    /// One value of the pass. A slot's memory is valid until a larger matrix is asked of the same slot.
    enum Slot {
        case residual, normed, branch, query, key, value, headOutputs, headGates, sinkMass
        case queryLatent, latent, latentContent, latentExpanded, latentValues, latentHeads
        case latentRows, latentQueries, latentSums
        case routerLogits, routerScores, expertIndices, expertWeights
        case expertHidden, expertOutput, rankedOutput, summary, sharedOutput, sharedGate
        case dispatchRows, dispatchPlaces, dispatchStarts
        case logits, tileMaxima, tileSums, targetLogits
    }

    /// [rows, columns], f32, contiguous, with whatever the slot held before.
    func matrix(_ slot: Slot, rows: Int, columns: Int) -> Matrix {
        Matrix(memory(slot, Float.self, count: rows * columns), rows: rows, columns: columns)
    }

    /// [rows, columns], i32, with whatever the slot held before.
    func indices(_ slot: Slot, rows: Int, columns: Int) -> IndexMatrix {
        IndexMatrix(memory(slot, Int32.self, count: rows * columns), rows: rows, columns: columns)
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
