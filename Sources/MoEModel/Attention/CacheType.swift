import Checkpoints
import Tensors

/// How a session keeps the keys and values of the tokens it has read.
public enum CacheType: String, Sendable, CaseIterable, Codable {
    /// As they were computed: 4 bytes a value.
    case f32
    /// Rounded to half precision: 2 bytes a value.
    case f16
    /// Blocks of 32 8-bit levels and a scale, as GGUF's Q8_0: 1.0625 bytes a value.
    case q8_0

    /// `f16` where the forward pass is fast, otherwise `f32`.
    public init(for precision: Precision) { self = precision == .fast ? .f16 : .f32 }

    /// Bytes one token takes in all layers.
    public func bytesPerToken(_ config: ModelConfig) -> Int { KeyValueCache.bytesPerToken(config, type: self) }

    var dtype: DType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .q8_0: .q8_0
        }
    }
}
