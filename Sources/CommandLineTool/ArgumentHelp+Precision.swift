import ArgumentParser

extension ArgumentHelp {
    /// What `--precision` means, in every command.
    static let precision = ArgumentHelp(
        "exact: f32 throughout, the reference. fast: activations are rounded for the large products, to int8 where weights are "
            + "quantized, otherwise to bf16 (AVX-512) or to 16-bit integers with a scale per block (AVX2).")
}
