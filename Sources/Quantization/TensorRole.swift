import Checkpoints
import Tensors

/// What a tensor does in the model, and so what it is called in a GGUF file and how precisely it is kept.
public enum TensorRole: String, Sendable, CaseIterable {
    case embedding = "token_embd.weight"
    case finalNorm = "output_norm.weight"
    case finalNormBias = "output_norm.bias"
    case output = "output.weight"
    case outputBias = "output.bias"
    case attentionNorm = "attn_norm.weight"
    case attentionNormBias = "attn_norm.bias"
    case query = "attn_q.weight"
    case queryBias = "attn_q.bias"
    case key = "attn_k.weight"
    case keyBias = "attn_k.bias"
    case value = "attn_v.weight"
    case valueBias = "attn_v.bias"
    case queryNorm = "attn_q_norm.weight"
    case keyNorm = "attn_k_norm.weight"
    case attentionOutput = "attn_output.weight"
    case attentionOutputBias = "attn_output.bias"
    case expertNorm = "ffn_norm.weight"
    case expertNormBias = "ffn_norm.bias"
    case router = "ffn_gate_inp.weight"
    case gate = "ffn_gate_exps.weight"
    case up = "ffn_up_exps.weight"
    case down = "ffn_down_exps.weight"
    case sharedRouter = "ffn_gate_inp_shexp.weight"
    case sharedGate = "ffn_gate_shexp.weight"
    case sharedUp = "ffn_up_shexp.weight"
    case sharedDown = "ffn_down_shexp.weight"

    /// The name in a GGUF file.
    public func name(layer: Int?) -> String { layer.map { "blk.\($0).\(rawValue)" } ?? rawValue }

    /// Whether the tensor is a matrix that may be stored in blocks; norms, biases and the router stay F32.
    var isQuantized: Bool {
        switch self {
        case .embedding, .output, .query, .key, .value, .attentionOutput, .gate, .up, .down, .sharedGate, .sharedUp,
            .sharedDown:
            true
        default: false
        }
    }
}

/// One tensor of a model as a GGUF file holds it: experts merged.
public struct PlacedTensor: Sendable {
    public let role: TensorRole
    public let layer: Int?
    public let shape: [Int]
    /// What it is made of, in order of the first dimension; empty where only shapes are known.
    let parts: [Tensor]

    public var name: String { role.name(layer: layer) }
    public var count: Int { shape.reduce(1, *) }
    public var columns: Int { shape.last ?? 1 }
}

extension ModelTensors {
    /// Every tensor in the order of a GGUF file.
    func placed() -> [PlacedTensor] {
        var result: [PlacedTensor] = []
        func add(_ role: TensorRole, _ layer: Int?, _ tensor: Tensor?) {
            guard let tensor else { return }
            let shape = role == .sharedRouter ? [tensor.count] : tensor.shape
            result.append(PlacedTensor(role: role, layer: layer, shape: shape, parts: [tensor]))
        }
        func merge(_ role: TensorRole, _ layer: Int, _ experts: [Tensor]) {
            result.append(
                PlacedTensor(role: role, layer: layer, shape: [experts.count] + experts[0].shape, parts: experts))
        }
        add(.embedding, nil, embedding)
        for (index, layer) in layers.enumerated() {
            add(.attentionNorm, index, layer.attentionNorm)
            add(.attentionNormBias, index, layer.attentionNormBias)
            add(.query, index, layer.query)
            add(.queryBias, index, layer.queryBias)
            add(.key, index, layer.key)
            add(.keyBias, index, layer.keyBias)
            add(.value, index, layer.value)
            add(.valueBias, index, layer.valueBias)
            add(.queryNorm, index, layer.queryNorm)
            add(.keyNorm, index, layer.keyNorm)
            add(.attentionOutput, index, layer.attentionOutput)
            add(.attentionOutputBias, index, layer.attentionOutputBias)
            add(.expertNorm, index, layer.expertNorm)
            add(.expertNormBias, index, layer.expertNormBias)
            add(.router, index, layer.router)
            merge(.gate, index, layer.gate)
            merge(.up, index, layer.up)
            merge(.down, index, layer.down)
            add(.sharedRouter, index, layer.sharedExpert?.router)
            add(.sharedGate, index, layer.sharedExpert?.gate)
            add(.sharedUp, index, layer.sharedExpert?.up)
            add(.sharedDown, index, layer.sharedExpert?.down)
        }
        add(.finalNorm, nil, finalNorm)
        add(.finalNormBias, nil, finalNormBias)
        if output.bytes.baseAddress != embedding.bytes.baseAddress { add(.output, nil, output) }
        add(.outputBias, nil, outputBias)
        return result
    }
}
