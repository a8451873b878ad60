extension ModelConfig {
    /// What GGUF files call this architecture (`general.architecture`); nil for one that is not in `Family.all`.
    public var ggufArchitecture: String? { family?.ggufArchitecture }

    /// How llama.cpp pairs the rotary embedding of this architecture.
    public var ggufRotaryLayout: RotaryConfig.Layout { family?.ggufRotaryLayout ?? .halves }

    /// Whether GGUF files give the width of an expert a key of its own.
    public var ggufNamesExpertSize: Bool {
        family?.expertSizeField != "intermediate_size" || family?.ggufNamesExpertSize == true
    }

    /// Whether llama.cpp divides this architecture's mixing weights by their sum.
    public var ggufRenormalizesExpertWeights: Bool { family?.ggufRenormalizesExpertWeights ?? false }

    /// Whether llama.cpp asks the file for that instead.
    public var ggufSaysRenormalization: Bool { family?.routerFields.groupCount != nil }

    /// The name of a tensor in a GGUF file of this architecture.
    public func ggufName(_ role: TensorRole, layer: Int?) -> String {
        family?.ggufName(role, layer: layer) ?? TensorRole.placed(role.ggufName, layer: layer)
    }

    /// Whether q, k and v are one tensor in a GGUF file.
    public var ggufFusesAttention: Bool { family?.fusedAttention != nil }

    /// Whether a GGUF file gives the number of shared experts.
    public var ggufCountsSharedExperts: Bool { family?.sharedExpert?.countField != nil }

    /// Whether a GGUF file says how many layers are dense at the start, and in which step experts follow.
    public var ggufCountsDenseLayers: Bool {
        family?.denseLayers.map { $0.firstField != nil || $0.typesField != nil } ?? false
    }

    /// Layers of which the last one alone attends to the whole text, where the architecture fixes it; nil: all are alike.
    public var ggufWindowPeriod: Int? { family?.ggufWindowPeriod }

    /// Which layers have experts, as llama.cpp says it: from a number on, those at a step; whether that is all there is to say.
    public var denseSteps: (leading: Int, step: Int, isWhole: Bool) {
        let leading = layers.prefix { $0.feedForward == .dense }.count
        func fits(_ step: Int) -> Bool {
            layers.enumerated().allSatisfy {
                ($1.feedForward == .experts) == ($0 >= leading && ($0 + 1) % step == 0)
            }
        }
        let step = (1...max(1, layers.count)).first(where: fits)
        return (leading, step ?? 1, step != nil)
    }

    private var family: Family? { Family.all.first { $0.architecture == architecture } }
}

extension Family {
    func ggufName(_ role: TensorRole, layer: Int?) -> String {
        TensorRole.placed(ggufNames[role] ?? role.ggufName, layer: layer)
    }
}
