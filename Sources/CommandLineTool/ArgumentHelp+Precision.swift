import ArgumentParser

extension ArgumentHelp {
    /// What `--precision` means, in every command.
    static let precision = ArgumentHelp(
        "exact: f32 throughout, the reference. precise: nearly exact, on processors with AMX only. fast: activations are "
            + "rounded for the large products, to bf16 or two parts of it (AMX); elsewhere to int8 where weights are "
            + "quantized, otherwise to bf16 (AVX-512) or to 16-bit integers with a scale per block (AVX2).")
}
