import Checkpoints
import Tensors

/// A kind of quantized file, as llama.cpp names them: one type for most tensors, more bits where they matter.
///
/// Which tensors get more is llama.cpp's choice (`llama-quant.cpp`), so that sizes are those of the files people download:
/// Mixtral-8x7B is 46.22 GiB in Q8_0 and 35.74 GiB in Q6_K.
public enum QuantizationMix: String, Sendable, CaseIterable {
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"
    case q8_0 = "Q8_0"
    case q6_k = "Q6_K"
    case q5_k_m = "Q5_K_M"
    case q5_1 = "Q5_1"
    case q5_0 = "Q5_0"
    case q4_k_m = "Q4_K_M"
    case q4_1 = "Q4_1"
    case q4_0 = "Q4_0"
    case iq4_nl = "IQ4_NL"
    case q3_k_m = "Q3_K_M"
    case q2_k = "Q2_K"

    /// The type of most tensors.
    public var base: DType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q8_0: .q8_0
        case .q6_k: .q6_k
        case .q5_k_m: .q5_k
        case .q5_1: .q5_1
        case .q5_0: .q5_0
        case .q4_k_m: .q4_k
        case .q4_1: .q4_1
        case .q4_0: .q4_0
        case .iq4_nl: .iq4_nl
        case .q3_k_m: .q3_k
        case .q2_k: .q2_k
        }
    }

    /// `general.file_type`.
    var fileType: UInt64 {
        switch self {
        case .f32: 0
        case .f16: 1
        case .q4_0: 2
        case .q4_1: 3
        case .q8_0: 7
        case .q5_0: 8
        case .q5_1: 9
        case .q2_k: 10
        case .q3_k_m: 12
        case .q4_k_m: 15
        case .q5_k_m: 17
        case .q6_k: 18
        case .iq4_nl: 25
        case .bf16: 32
        }
    }

    private var isPlain: Bool { base.blockElements == 1 }

    /// The type of one tensor of a model.
    func dtype(_ tensor: PlacedTensor, of config: ModelConfig) -> DType {
        dtype(
            tensor.role, layer: tensor.layer ?? 0, layerCount: config.layerCount, columns: tensor.columns,
            expertCount: config.experts.count,
            queriesPerKey: config.attention.headCount / config.attention.keyValueHeadCount,
            fusesAttention: config.ggufFusesAttention)
    }

    /// The type of one tensor.
    /// - Parameters:
    ///   - layer: its layer, of `layerCount`.
    ///   - queriesPerKey: query heads that share a key/value head.
    ///   - fusesAttention: whether `query` stands for q, k and v in one.
    public func dtype(
        _ role: TensorRole, layer: Int, layerCount: Int, columns: Int, expertCount: Int, queriesPerKey: Int,
        fusesAttention: Bool = false
    ) -> DType {
        guard role.isMatrix else { return .f32 }
        guard !isPlain else { return base }
        var type = base
        switch role {
        case .output: if type != .q8_0 { type = columns % 256 == 0 ? .q6_k : .q8_0 }
        // For eight experts attention is so small a share that more bits cost nothing.
        case .value: type = expertCount == 8 ? .q8_0 : valueType(layer, layerCount, queriesPerKey)
        case .query where fusesAttention: type = fusedAttentionType
        case .key: if expertCount == 8 { type = .q8_0 }
        case .attentionOutput: type = attentionOutputType(expertCount)
        case .expertDown, .denseDown, .sharedDown: type = downType(layer, layerCount)
        default: break
        }
        return fitting(type, columns: columns)
    }

    private func valueType(_ layer: Int, _ layerCount: Int, _ queriesPerKey: Int) -> DType {
        switch self {
        case .q2_k: queriesPerKey >= 4 ? .q4_k : .q3_k
        case .q3_k_m: layer < 2 ? .q5_k : .q4_k
        case .q4_k_m, .q5_k_m: Self.getsMoreBits(layer, layerCount) ? .q6_k : base
        default: base
        }
    }

    private var fusedAttentionType: DType {
        switch self {
        case .q3_k_m: .q4_k
        case .q4_k_m: .q5_k
        case .q5_k_m: .q6_k
        default: base
        }
    }

    private func attentionOutputType(_ expertCount: Int) -> DType {
        switch self {
        case .q2_k: expertCount == 8 ? .q5_k : .q3_k
        case .q3_k_m: expertCount == 8 ? .q5_k : .q4_k
        case .q4_k_m, .iq4_nl: expertCount == 8 ? .q5_k : base
        default: base
        }
    }

    private func downType(_ layer: Int, _ layerCount: Int) -> DType {
        switch self {
        case .q2_k: .q3_k
        case .q3_k_m: layer < layerCount / 16 ? .q5_k : .q4_k
        case .q4_k_m, .q5_k_m: Self.getsMoreBits(layer, layerCount) ? .q6_k : base
        default: base
        }
    }

    /// The first and last eighth of the layers, and every third between.
    private static func getsMoreBits(_ layer: Int, _ layerCount: Int) -> Bool {
        layer < layerCount / 8 || layer >= 7 * layerCount / 8 || (layer - layerCount / 8) % 3 == 2
    }

    /// The nearest type whose blocks fill the row.
    private func fitting(_ type: DType, columns: Int) -> DType {
        if columns % type.blockElements == 0 { return type }
        let smaller: DType =
            switch type {
            case .q2_k, .q3_k: .iq4_nl
            case .q4_k: .q5_0
            case .q5_k: .q5_1
            case .q6_k: .q8_0
            default: .f16
            }
        return columns % smaller.blockElements == 0 ? smaller : .f16
    }
}
