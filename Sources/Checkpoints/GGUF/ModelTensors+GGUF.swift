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
        return ModelTensors(embedding: embedding, layers: layers, finalNorm: finalNorm, output: output)
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
        return LayerTensors(
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
