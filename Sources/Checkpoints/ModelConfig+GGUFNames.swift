extension ModelConfig {
    /// What GGUF files call this architecture (`general.architecture`); nil for one that is not in `Family.all`.
    public var ggufArchitecture: String? { family?.ggufArchitecture }

    /// How llama.cpp pairs the rotary embedding of this architecture.
    public var ggufRotaryLayout: RotaryConfig.Layout { family?.ggufRotaryLayout ?? .halves }

    /// Whether GGUF files give the width of an expert a key of its own.
    public var ggufNamesExpertSize: Bool { family?.expertSizeField != "intermediate_size" }

    /// Whether llama.cpp divides this architecture's mixing weights by their sum.
    public var ggufRenormalizesExpertWeights: Bool { family?.ggufRenormalizesExpertWeights ?? false }

    private var family: Family? { Family.all.first { $0.architecture == architecture } }
}
