import Tensors

extension ModelTensors {
    /// Picks every tensor the config asks for out of a GGUF file.
    static func gguf(
        _ table: inout TensorTable, config: ModelConfig, family: Family
    ) throws(CheckpointError) -> ModelTensors {
        let (vocabulary, hidden) = (config.vocabularySize, config.hiddenSize)
        let embedding = try table.take("token_embd.weight", shape: [vocabulary, hidden])
        var layers: [LayerTensors] = []
        for layer in 0..<config.layerCount {
            layers.append(try .gguf(&table, prefix: "blk.\(layer).", config: config, family: family))
        }
        let finalNorm = try table.take("output_norm.weight", shape: [hidden])
        let output =
            try config.tiesOutputToEmbedding
            ? embedding : table.take("output.weight", shape: [vocabulary, hidden])
        var tensors = ModelTensors(embedding: embedding, layers: layers, finalNorm: finalNorm, output: output)
        tensors.finalNormBias = try table.takeIf(config.normKind == .layer, "output_norm.bias", shape: [hidden])
        tensors.outputBias = try table.takeIf(config.hasOutputBias, "output.bias", shape: [vocabulary])
        return tensors
    }
}

extension LayerTensors {
    fileprivate static func gguf(
        _ table: inout TensorTable, prefix: String, config: ModelConfig, family: Family
    ) throws(CheckpointError) -> LayerTensors {
        let hidden = config.hiddenSize
        let queries = config.headCount * config.headSize
        let keys = config.keyValueHeadCount * config.headSize
        let router = try table.take("\(prefix)ffn_gate_inp.weight", shape: [config.expertCount, hidden])
        var layer = LayerTensors(
            attentionNorm: try table.take("\(prefix)attn_norm.weight", shape: [hidden]),
            query: try table.take("\(prefix)attn_q.weight", shape: [queries, hidden]),
            key: try table.take("\(prefix)attn_k.weight", shape: [keys, hidden]),
            value: try table.take("\(prefix)attn_v.weight", shape: [keys, hidden]),
            attentionOutput: try table.take("\(prefix)attn_output.weight", shape: [hidden, queries]),
            expertNorm: try table.take("\(prefix)ffn_norm.weight", shape: [hidden]),
            router: router,
            gate: try experts(&table, prefix: prefix, part: "gate", config: config),
            up: try experts(&table, prefix: prefix, part: "up", config: config),
            down: try experts(&table, prefix: prefix, part: "down", config: config))
        let hasNormBias = config.normKind == .layer
        layer.attentionNormBias = try table.takeIf(hasNormBias, "\(prefix)attn_norm.bias", shape: [hidden])
        layer.expertNormBias = try table.takeIf(hasNormBias, "\(prefix)ffn_norm.bias", shape: [hidden])
        // GGUF has no field that announces biases: those that are there count.
        func bias(_ part: String, _ size: Int) throws(CheckpointError) -> Tensor? {
            let name = "\(prefix)\(part).bias"
            return try table.takeIf(table.has(name), name, shape: [size])
        }
        layer.queryBias = try bias("attn_q", queries)
        layer.keyBias = try bias("attn_k", keys)
        layer.valueBias = try bias("attn_v", keys)
        layer.attentionOutputBias = try bias("attn_output", hidden)
        if let norm = config.queryKeyNorm {
            let perHead = norm == .perHead
            layer.queryNorm = try table.take(
                "\(prefix)attn_q_norm.weight", shape: [perHead ? config.headSize : queries])
            layer.keyNorm = try table.take("\(prefix)attn_k_norm.weight", shape: [perHead ? config.headSize : keys])
        }
        if let width = config.sharedExpertSize {
            let router = try table.take("\(prefix)ffn_gate_inp_shexp.weight", shape: [hidden])
            layer.sharedExpert = SharedExpertTensors(
                gate: try table.take("\(prefix)ffn_gate_shexp.weight", shape: [width, hidden]),
                up: try table.take("\(prefix)ffn_up_shexp.weight", shape: [width, hidden]),
                down: try table.take("\(prefix)ffn_down_shexp.weight", shape: [hidden, width]),
                router: router.reshaped([1, hidden]))
        }
        return layer
    }

    /// One merged tensor, or (files of early 2024) one per expert.
    private static func experts(
        _ table: inout TensorTable, prefix: String, part: String, config: ModelConfig
    ) throws(CheckpointError) -> [Tensor] {
        let shape =
            part == "down" ? [config.hiddenSize, config.expertSize] : [config.expertSize, config.hiddenSize]
        var experts: [Tensor] = []
        if table.has("\(prefix)ffn_\(part).0.weight") {
            for expert in 0..<config.expertCount {
                experts.append(try table.take("\(prefix)ffn_\(part).\(expert).weight", shape: shape))
            }
        } else {
            let merged = try table.take("\(prefix)ffn_\(part)_exps.weight", shape: [config.expertCount] + shape)
            for expert in 0..<config.expertCount { experts.append(merged.slice(expert)) }
        }
        return experts
    }
}
