/// How activations are represented in the large products. The router, softmax, norms and log-probabilities are f32 in
/// both.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// f32 activations and accumulation, weights dequantized to f32: the reference.
    case exact
    /// Quantized weights: int8 activations (AVX2, AVX-512). Dense weights: activations and weights in bf16 (AVX-512), or
    /// both as 16-bit integers in blocks, an activation with about eleven bits (AVX2). f32 where the processor has neither
    /// instruction set.
    case fast
}
