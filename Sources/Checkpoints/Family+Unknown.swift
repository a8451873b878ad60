import FileFormats

extension Family {
    /// Why a model type is not read: the nearest one that is, and what is missing.
    static func unknown(_ architecture: String, file: String) -> FileError {
        let known = all.map(\.architecture)
        let (near, reason) = missing(architecture)
        let nearest = near ?? known.max { common($0, architecture) < common($1, architecture) }
        let likeness = nearest.map { common($0, architecture) } ?? 0
        return FileError(
            .unsupported, file: file, field: "field model_type", expected: "one of \(known.joined(separator: ", "))",
            found: "\"\(architecture)\"",
            hint: [
                nearest.flatMap { near != nil || likeness >= 3 ? "the nearest is \($0)" : nil },
                reason.map { "MoEScope does not compute \($0)" },
            ].compactMap { $0 }.joined(separator: "; ").nonEmpty)
    }

    /// What is known of a type that is not read.
    private static func missing(_ architecture: String) -> (nearest: String?, reason: String?) {
        for (types, nearest, reason) in unread where types.contains(architecture) { return (nearest, reason) }
        return (nil, nil)
    }

    private static let unread: [(types: [String], nearest: String?, reason: String)] = [
        (
            ["qwen3_next", "qwen3_5_moe", "qwen3_5_moe_text"], "qwen3_moe",
            "layers with a recurrent state (gated delta net)"
        ),
        (["lfm2_moe"], nil, "layers with a recurrent state (short convolutions)"),
        (["granitemoehybrid"], "granitemoeshared", "layers with a recurrent state (Mamba-2)"),
        (["nemotron_h", "jamba", "bamba", "zamba2"], nil, "layers with a recurrent state (Mamba)"),
        (["minimax"], "minimax_m2", "layers with a recurrent state (lightning attention)"),
        (["kimi_linear", "bailing_hybrid"], nil, "layers with a recurrent state (linear attention)"),
        (["kimi_k25", "longcat_flash"], "deepseek_v3", "this family's latent attention"),
        (["deepseek_v32", "glm_moe_dsa", "mistral_large4", "mistral_large4_text"], "deepseek_v3", "sparse attention"),
        (["llama4", "llama4_text"], nil, "attention in chunks and weights before the experts"),
    ]

    /// Letters that two names begin with.
    private static func common(_ a: String, _ b: String) -> Int { zip(a, b).prefix { $0 == $1 }.count }
}

extension String {
    fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}
