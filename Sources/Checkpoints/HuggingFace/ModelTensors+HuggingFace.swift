import Tensors

extension ModelTensors {
    /// Picks every tensor the config asks for out of a Hugging Face checkpoint.
    static func huggingFace(
        _ table: inout TensorTable, config: ModelConfig, family: Family
    ) throws(CheckpointError) -> ModelTensors {
        let vocabulary = config.vocabularySize
        let hidden = config.hiddenSize
        let embedding = try table.take("model.embed_tokens.weight", shape: [vocabulary, hidden])
        var layers: [LayerTensors] = []
        for layer in 0..<config.layerCount {
            layers.append(
                try .huggingFace(&table, prefix: "model.layers.\(layer).", config: config, family: family))
        }
        let finalNorm = try table.take("model.norm.weight", shape: [hidden])
        // Tied models may still store the output; transformers ignores it then.
        let output =
            try config.tiesOutputToEmbedding
            ? embedding : table.take("lm_head.weight", shape: [vocabulary, hidden])
        var tensors = ModelTensors(embedding: embedding, layers: layers, finalNorm: finalNorm, output: output)
        tensors.finalNormBias = try table.takeIf(config.normKind == .layer, "model.norm.bias", shape: [hidden])
        tensors.outputBias = try table.takeIf(config.hasOutputBias, "lm_head.bias", shape: [vocabulary])
        return tensors
    }
}

extension LayerTensors {
    fileprivate static func huggingFace(
        _ table: inout TensorTable, prefix: String, config: ModelConfig, family: Family
    ) throws(CheckpointError) -> LayerTensors {
        let hidden = config.hiddenSize
        let queries = config.headCount * config.headSize
        let keys = config.keyValueHeadCount * config.headSize
        let experts = try ExpertTensors.huggingFace(&table, prefix: prefix, config: config, family: family)
        var layer = LayerTensors(
            attentionNorm: try table.take("\(prefix)input_layernorm.weight", shape: [hidden]),
            query: try table.take("\(prefix)self_attn.q_proj.weight", shape: [queries, hidden]),
            key: try table.take("\(prefix)self_attn.k_proj.weight", shape: [keys, hidden]),
            value: try table.take("\(prefix)self_attn.v_proj.weight", shape: [keys, hidden]),
            attentionOutput: try table.take("\(prefix)self_attn.o_proj.weight", shape: [hidden, queries]),
            expertNorm: try table.take("\(prefix)post_attention_layernorm.weight", shape: [hidden]),
            router: experts.router, gate: experts.gate, up: experts.up, down: experts.down)
        let hasNormBias = config.normKind == .layer
        layer.attentionNormBias = try table.takeIf(hasNormBias, "\(prefix)input_layernorm.bias", shape: [hidden])
        layer.expertNormBias = try table.takeIf(
            hasNormBias, "\(prefix)post_attention_layernorm.bias", shape: [hidden])
        let hasBias = config.hasAttentionBias
        layer.queryBias = try table.takeIf(hasBias, "\(prefix)self_attn.q_proj.bias", shape: [queries])
        layer.keyBias = try table.takeIf(hasBias, "\(prefix)self_attn.k_proj.bias", shape: [keys])
        layer.valueBias = try table.takeIf(hasBias, "\(prefix)self_attn.v_proj.bias", shape: [keys])
        layer.attentionOutputBias = try table.takeIf(
            hasBias && family.attentionBias.includesOutput, "\(prefix)self_attn.o_proj.bias", shape: [hidden])
        if let norm = config.queryKeyNorm {
            let perHead = norm == .perHead
            layer.queryNorm = try table.take(
                "\(prefix)self_attn.q_norm.weight", shape: [perHead ? config.headSize : queries])
            layer.keyNorm = try table.take(
                "\(prefix)self_attn.k_norm.weight", shape: [perHead ? config.headSize : keys])
        }
        if let width = config.sharedExpertSize {
            let shared = "\(prefix)mlp.shared_expert"
            layer.sharedExpert = SharedExpertTensors(
                gate: try table.take("\(shared).gate_proj.weight", shape: [width, hidden]),
                up: try table.take("\(shared).up_proj.weight", shape: [width, hidden]),
                down: try table.take("\(shared).down_proj.weight", shape: [hidden, width]),
                router: try table.take("\(shared)_gate.weight", shape: [1, hidden]))
        }
        return layer
    }
}

/// The router and experts of one layer, whatever layout they come from.
private struct ExpertTensors {
    var router: Tensor
    var gate: [Tensor] = []
    var up: [Tensor] = []
    var down: [Tensor] = []

    static func huggingFace(
        _ table: inout TensorTable, prefix: String, config: ModelConfig, family: Family
    ) throws(CheckpointError) -> ExpertTensors {
        let (experts, width, hidden) = (config.expertCount, config.expertSize, config.hiddenSize)
        let layout = family.expertLayouts.first { table.has(prefix + $0.landmark) } ?? family.expertLayouts[0]
        switch layout {
        case .separate(let router, let gate, let up, let down):
            var result = ExpertTensors(router: try table.take(prefix + router, shape: [experts, hidden]))
            for expert in 0..<experts {
                func name(_ template: String) -> String { prefix + template.replacing("{e}", with: "\(expert)") }
                result.gate.append(try table.take(name(gate), shape: [width, hidden]))
                result.up.append(try table.take(name(up), shape: [width, hidden]))
                result.down.append(try table.take(name(down), shape: [hidden, width]))
            }
            return result
        case .fused(let router, let gateUp, let down):
            var result = ExpertTensors(router: try table.take(prefix + router, shape: [experts, hidden]))
            let both = try table.take(prefix + gateUp, shape: [experts, 2 * width, hidden])
            let downs = try table.take(prefix + down, shape: [experts, hidden, width])
            for expert in 0..<experts {
                let pair = both.slice(expert)
                result.gate.append(pair.rows(0..<width))
                result.up.append(pair.rows(width..<2 * width))
                result.down.append(downs.slice(expert))
            }
            return result
        }
    }
}
