import RouterPolicies

/// A model's numbers that are not known are left out of the file: absent, never zero.
extension TraceManifest.Model {
    enum CodingKeys: String, CodingKey {
        case name, architecture, layers, experts, heads, quantization, sha256, router, config
        case moeLayers = "moe_layers"
        case expertsPerToken = "experts_per_token"
        case kvHeads = "kv_heads"
        case hiddenSize = "hidden_size"
        case vocabSize = "vocab_size"
        case parametersTotal = "parameters_total"
        case parametersActive = "parameters_active"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func known(_ key: CodingKeys) throws -> Int { try values.decodeIfPresent(Int.self, forKey: key) ?? 0 }
        self.init(
            name: try values.decode(String.self, forKey: .name),
            architecture: try values.decode(String.self, forKey: .architecture),
            layers: try values.decode(Int.self, forKey: .layers),
            experts: try values.decode(Int.self, forKey: .experts),
            expertsPerToken: try values.decode(Int.self, forKey: .expertsPerToken), heads: try known(.heads),
            kvHeads: try known(.kvHeads), hiddenSize: try known(.hiddenSize), vocabSize: try known(.vocabSize),
            quantization: try values.decodeIfPresent(String.self, forKey: .quantization) ?? "",
            parametersTotal: try known(.parametersTotal), parametersActive: try known(.parametersActive),
            sha256: try values.decodeIfPresent(String.self, forKey: .sha256) ?? "",
            router: try values.decodeIfPresent(RouterPolicy.self, forKey: .router),
            moeLayers: try values.decodeIfPresent([Int].self, forKey: .moeLayers),
            config: try values.decodeIfPresent([String: String].self, forKey: .config))
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(name, forKey: .name)
        try values.encode(architecture, forKey: .architecture)
        try values.encode(layers, forKey: .layers)
        try values.encode(experts, forKey: .experts)
        try values.encode(expertsPerToken, forKey: .expertsPerToken)
        for (key, number) in [
            (CodingKeys.heads, heads), (.hiddenSize, hiddenSize), (.vocabSize, vocabSize), (.kvHeads, kvHeads),
            (.parametersTotal, parametersTotal), (.parametersActive, parametersActive),
        ] where number != 0 {
            try values.encode(number, forKey: key)
        }
        if !quantization.isEmpty { try values.encode(quantization, forKey: .quantization) }
        if !sha256.isEmpty { try values.encode(sha256, forKey: .sha256) }
        try values.encodeIfPresent(router, forKey: .router)
        try values.encodeIfPresent(moeLayers, forKey: .moeLayers)
        try values.encodeIfPresent(config, forKey: .config)
    }
}
