/// How activations are represented in the large products. The router, softmax, norms and log-probabilities are f32 in
/// both.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// f32 activations and accumulation, weights dequantized to f32: the reference.
    case exact
    /// Nearly exact, and fast where the processor multiplies tiles (AMX; nowhere else is it offered): products of bf16,
    /// three for weights in bf16 and six for others, sums in f32. Only the order of the sums is another than `exact`'s, and its
    /// bounds hold.
    case precise
    /// AMX: weights of every type in bf16. Activations are in bf16 where gate and up are made and in the final projection,
    /// and in two parts of bf16 in all other products: what goes in there decides most of the choices of experts that come
    /// out differently. Rows that see 1,024 keys or more multiply queries, keys, values and weights of attention in two parts of bf16.
    ///
    /// AVX2 and AVX-512, with the same bits: int8 activations for quantized weights; for dense weights both sides as 16-bit
    /// integers in blocks, an activation with about eleven bits. f32 where the processor has none of these instruction sets.
    case fast
}
