import Hooks
import Tensors

/// Copies what hooks see into arrays that outlive the pass: one copy, out of memory that the engine uses again.
///
/// T rows · L layers · W choices per row, the model's K or more where an intervention asks for more.
final class CaptureRecorder: HookObserver {
    /// Points with one value for the whole batch.
    private(set) var arrays: [HookPoint: ArrayStorage] = [:]
    /// Points with one value per document (attention scores and patterns), by document.
    private(set) var perDocument: [HookPoint: [Int: ArrayStorage]] = [:]
    /// [L, T, W], always recorded; E, which is no expert, in dense layers.
    private(set) var expertIndices: ArrayStorage?
    /// [L, T, W], always recorded; 0 in dense layers.
    private(set) var expertWeights: ArrayStorage?
    private let layerCount: Int
    private let expertCount: Int
    /// Chosen experts are always recorded; these were asked for as points of their own, too.
    private let requested: Set<HookPoint>

    init(layerCount: Int, expertCount: Int, requested: Set<HookPoint>) {
        self.expertCount = expertCount
        self.layerCount = layerCount
        self.requested = requested
    }

    func observe(_ point: HookPoint, _ value: borrowing HookValue) {
        switch point.site {
        case .expertIndices: stack(&expertIndices, point, value)
        case .expertWeights: stack(&expertWeights, point, value)
        default:
            let array = ArrayStorage(uninitialized: value.dtype, shape: value.shape)
            Self.copy(value, to: array.memory)
            if let document = value.document {
                perDocument[point, default: [:]][document] = array
            } else {
                arrays[point] = array
            }
        }
    }

    /// Layers of one site side by side, so that Python gets [L, T, W] without copying again.
    private func stack(_ all: inout ArrayStorage?, _ point: HookPoint, _ value: borrowing HookValue) {
        let array = all ?? empty(value)
        all = array
        let view = array.view(offset: (point.layer ?? 0) * value.count, shape: value.shape)
        Self.copy(value, to: view.memory)
        if requested.contains(point) { arrays[point] = view }
    }

    /// No expert in any layer.
    private func empty(_ value: borrowing HookValue) -> ArrayStorage {
        let array = ArrayStorage(uninitialized: value.dtype, shape: [layerCount] + value.shape)
        if value.dtype == .i32 {
            array.memory.initializeMemory(as: Int32.self, repeating: Int32(expertCount), count: array.count)
        } else {
            array.memory.initializeMemory(as: Float.self, repeating: 0, count: array.count)
        }
        return array
    }

    private static func copy(_ value: borrowing HookValue, to memory: UnsafeMutableRawPointer) {
        value.withBytes { bytes in
            if let base = bytes.baseAddress { memory.copyMemory(from: base, byteCount: bytes.count) }
        }
    }
}
