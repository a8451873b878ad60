import Checkpoints
import Hooks
import Tensors

/// A mixture-of-experts language model, ready to run.
///
/// Loading maps the checkpoint and converts only the norms; weights are read when the first pass needs them.
/// One model can be used from several threads; its passes then run one after the other.
public final class Model: @unchecked Sendable {
    public let checkpoint: Checkpoint
    public let config: ModelConfig
    public let precision: Precision
    let kernels: Kernels
    let weights: Weights
    let workspace = Workspace()
    /// Passes share scratch memory, so only one runs at a time.
    let turn = Turn()
    private var rotary: RotaryTable?

    /// - Parameters:
    ///   - precision: how products are computed; `exact` is the reference.
    ///   - threads: threads to compute with; nil takes the processors this process may use.
    /// - Throws: `ModelError` where the engine has no kernel for one of the checkpoint's types.
    public init(_ checkpoint: Checkpoint, precision: Precision = .fast, threads: Int? = nil) throws(ModelError) {
        let uncomputed = checkpoint.config.uncomputedParts
        guard uncomputed.isEmpty else {
            throw .unsupported(
                "\(checkpoint.config.architecture) needs \(uncomputed.joined(separator: ", ")), "
                    + "which this version does not compute")
        }
        self.checkpoint = checkpoint
        self.precision = precision
        config = checkpoint.config
        kernels = Kernels(pool: threads.map { ThreadPool(threadCount: $0) } ?? ThreadPool(), precision: precision)
        weights = try Weights(checkpoint.tensors)
    }

    /// The rotary table for at least this many positions; made anew, longer, when a text outgrows it.
    func rotaryTable(positions: Int) -> RotaryTable {
        if let rotary, rotary.positions >= positions { return rotary }
        let table = RotaryTable(config, positions: min(config.contextLength, max(positions * 2, 512)))
        rotary = table
        return table
    }

    public var threadCount: Int { kernels.pool.threadCount }

    /// Name of the instruction set the kernels use.
    public static var instructionSet: String { Kernels.instructionSet }
}

/// The tensors of a model as the forward pass reads them: vectors as f32, matrices as they lie in the file.
struct Weights {
    struct Layer {
        let tensors: LayerTensors
        let attentionNorm: FloatVector
        let expertNorm: FloatVector
        /// [E, D]: routing is f32 in every precision.
        let router: FloatVector
    }

    let tensors: ModelTensors
    let layers: [Layer]
    let finalNorm: FloatVector

    init(_ tensors: ModelTensors) throws(ModelError) {
        self.tensors = tensors
        var layers: [Layer] = []
        for layer in tensors.layers {
            layers.append(
                Layer(
                    tensors: layer, attentionNorm: try FloatVector(layer.attentionNorm),
                    expertNorm: try FloatVector(layer.expertNorm), router: try FloatVector(layer.router)))
        }
        self.layers = layers
        finalNorm = try FloatVector(tensors.finalNorm)
    }
}

/// A tensor dequantized to f32, in memory of its own.
struct FloatVector {
    private let buffer: AlignedBuffer
    let count: Int
    var base: UnsafeMutablePointer<Float> { buffer.bound(to: Float.self) }

    /// - Throws: `ModelError.unsupported` for integer and f64 tensors.
    init(_ tensor: Tensor) throws(ModelError) {
        guard Kernels.computes(with: tensor.dtype) else {
            throw .unsupported(
                "tensor \(tensor.name): expected a floating-point or quantized type, found \(tensor.dtype.rawValue)")
        }
        count = tensor.count
        buffer = AlignedBuffer(Float.self, count: count)
        Kernels.dequantize(tensor, into: buffer.bound(to: Float.self))
    }
}
