import FileFormats
import Tensors

extension ModelTensors {
    /// Picks every tensor of the schema out of a Hugging Face checkpoint.
    static func huggingFace(
        _ table: inout TensorTable, config: ModelConfig, family: Family
    ) throws(FileError) -> ModelTensors {
        var experts: [Int: FusedExperts] = [:]
        var interleaved: [Int: InterleavedExperts] = [:]
        var taken = table
        let fusedShared = family.sharedExpert?.fusedName
        let tensors = try ModelTensors(config) { entry throws(FileError) in
            guard let layer = entry.layer else {
                var name = family.name(entry.role)
                // Tied weights can be stored under either name.
                if entry.role == .embedding, config.tiesOutputToEmbedding, !taken.has(name) {
                    name = family.name(.output)
                }
                return [try taken.take(name, shape: entry.shape)]
            }
            let prefix = "model.layers.\(layer)."
            let layout = family.expertLayouts.first { taken.has(prefix + $0.landmark) } ?? family.expertLayouts[0]
            if case .interleaved(let block) = layout, entry.role.isPerExpert {
                // Biases come between the matrices they belong to: one layer at a time is repacked.
                if interleaved[layer] == nil {
                    interleaved = [
                        layer: try InterleavedExperts(
                            &taken, block: prefix + block, config.experts, hidden: config.hiddenSize)
                    ]
                }
                return interleaved[layer]?.tensors(entry.role) ?? []
            }
            switch entry.role {
            case .router:
                let name = family.routerNames.first { taken.has(prefix + $0) } ?? family.routerNames[0]
                return [try taken.take(prefix + name, shape: entry.shape)]
            case .expertGate, .expertUp, .expertDown:
                if case .separate(let gate, let up, let down) = layout {
                    let template = entry.role == .expertGate ? gate : entry.role == .expertUp ? up : down
                    var tensors: [Tensor] = []
                    for expert in 0..<entry.copies {
                        let name = prefix + template.replacing("{e}", with: "\(expert)")
                        tensors.append(try taken.take(name, shape: entry.shape))
                    }
                    return tensors
                }
                if experts[layer] == nil {
                    experts = [layer: try FusedExperts(&taken, prefix: prefix, layout, config.experts, entry)]
                }
                return experts[layer]?.tensors(entry.role) ?? []
            case .query where family.fusedAttention != nil, .key where family.fusedAttention != nil,
                .value where family.fusedAttention != nil:
                return [try taken.takePart(entry.role, of: prefix + (family.fusedAttention ?? ""), config)]
            case .sharedGate where fusedShared != nil, .sharedUp where fusedShared != nil:
                let size = entry.shape[0]
                let both = try taken.take(prefix + (fusedShared ?? ""), shape: [2 * size, entry.shape[1]])
                return [both.rows(entry.role == .sharedGate ? 0..<size : size..<2 * size)]
            case .routerSelectionBias:
                let names = family.selectionBiasNames
                let name = prefix + (names.first { taken.has(prefix + $0) } ?? names[0])
                // ERNIE's has a first dimension for groups of experts, of which there is one.
                if taken.has(name, shape: [1] + entry.shape) {
                    return [try taken.take(name, shape: [1] + entry.shape).reshaped(entry.shape)]
                }
                return [try taken.take(name, shape: entry.shape)]
            default: return [try taken.take(prefix + family.name(entry.role), shape: entry.shape)]
            }
        }
        table = taken
        return tensors
    }
}

/// The experts of one layer out of two tensors: [E, 2F, D] with gate above up, and [E, D, F].
private struct FusedExperts {
    private let both: Tensor
    private let down: Tensor
    private let size: Int

    init(
        _ table: inout TensorTable, prefix: String, _ layout: Family.ExpertLayout, _ experts: ExpertsConfig,
        _ gate: TensorSchema.Entry
    ) throws(FileError) {
        guard case .fused(let gateUp, let downName) = layout else {
            throw FileError(.malformed, file: table.file, field: "experts of \(prefix)")
        }
        size = experts.size
        let hidden = gate.shape[1]
        both = try table.take(prefix + gateUp, shape: [experts.count, 2 * size, hidden])
        down = try table.take(prefix + downName, shape: [experts.count, hidden, size])
    }

    func tensors(_ role: TensorRole) -> [Tensor] {
        (0..<both.shape[0]).map { expert in
            switch role {
            case .expertGate: both.slice(expert).rows(0..<size)
            case .expertUp: both.slice(expert).rows(size..<2 * size)
            default: down.slice(expert)
            }
        }
    }
}

extension Family {
    /// Where a layer's selection bias can be, after "model.layers.L.": as checkpoints have it, as transformers 5 holds it in memory.
    fileprivate var selectionBiasNames: [String] {
        let own = name(.routerSelectionBias)
        return [
            own, own.replacing("block_sparse_moe.", with: "mlp."), own.replacing("mlp.moe_", with: "mlp.gate.moe_"),
        ]
    }

    /// What Hugging Face calls a tensor: the whole name outside the layers, what follows "model.layers.L." within. Routers and
    /// experts are named by the layout instead.
    func name(_ role: TensorRole) -> String {
        if let own = names[role] { return own }
        return switch role {
        case .embedding: "model.embed_tokens.weight"
        case .attentionNorm: "input_layernorm.weight"
        case .attentionNormBias: "input_layernorm.bias"
        case .queryDown: "self_attn.q_a_proj.weight"
        case .queryDownNorm: "self_attn.q_a_layernorm.weight"
        case .queryUp: "self_attn.q_b_proj.weight"
        case .latentDown: "self_attn.kv_a_proj_with_mqa.weight"
        case .latentNorm: "self_attn.kv_a_layernorm.weight"
        case .latentUp: "self_attn.kv_b_proj.weight"
        case .query: "self_attn.q_proj.weight"
        case .queryBias: "self_attn.q_proj.bias"
        case .key: "self_attn.k_proj.weight"
        case .keyBias: "self_attn.k_proj.bias"
        case .value: "self_attn.v_proj.weight"
        case .valueBias: "self_attn.v_proj.bias"
        case .queryNorm: "self_attn.q_norm.weight"
        case .keyNorm: "self_attn.k_norm.weight"
        case .attentionSinks: "self_attn.sinks"
        case .routerBias: "mlp.gate.bias"
        case .expertGateBias, .expertUpBias, .expertDownBias: expertLayouts[0].landmark
        case .attentionGate: "self_attn.gate_proj.weight"
        case .attentionPostNorm: "post_attention_layernorm.weight"
        case .feedForwardPostNorm: "post_feedforward_layernorm.weight"
        case .attentionOutput: "self_attn.o_proj.weight"
        case .attentionOutputBias: "self_attn.o_proj.bias"
        case .feedForwardNorm: "post_attention_layernorm.weight"
        case .feedForwardNormBias: "post_attention_layernorm.bias"
        case .denseGate: "mlp.gate_proj.weight"
        case .denseUp: "mlp.up_proj.weight"
        case .denseDown: "mlp.down_proj.weight"
        case .router: routerNames[0]
        case .routerSelectionBias: "mlp.gate.e_score_correction_bias"
        case .expertGate, .expertUp, .expertDown: expertLayouts[0].landmark
        case .sharedRouter: "mlp.shared_expert_gate.weight"
        case .sharedGate: "mlp.shared_expert.gate_proj.weight"
        case .sharedUp: "mlp.shared_expert.up_proj.weight"
        case .sharedDown: "mlp.shared_expert.down_proj.weight"
        case .finalNorm: "model.norm.weight"
        case .finalNormBias: "model.norm.bias"
        case .output: "lm_head.weight"
        case .outputBias: "lm_head.bias"
        }
    }
}
