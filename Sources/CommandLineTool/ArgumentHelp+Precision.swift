import ArgumentParser

extension ArgumentHelp {
    /// What `--precision` means, in every command.
    static let precision = ArgumentHelp(
        "exact: f32 throughout, the reference. precise: nearly exact, on processors with AMX only. fast: activations are "
            + "rounded for the large products: to bf16 or two parts of it (AMX), to int8 (quantized weights), or to 16-bit "
            + "integers with a scale per block (unquantized weights).")
}
