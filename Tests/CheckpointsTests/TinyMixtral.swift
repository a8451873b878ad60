import Checkpoints
import FileFormats
import Foundation
import Tensors

/// A folder for one test, removed with the value.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("moescope-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> URL { url.appendingPathComponent(name) }
}

/// A two-layer Mixtral of three experts with numbered weights, in parts that a test can break before writing them.
struct TinyMixtral {
    static let vocabulary = 11
    static let hidden = 8
    static let width = 6
    static let experts = 3

    var config: [String: String] = [
        "model_type": "\"mixtral\"", "hidden_act": "\"silu\"", "vocab_size": "11", "hidden_size": "8",
        "intermediate_size": "6", "num_hidden_layers": "2", "num_attention_heads": "4", "num_key_value_heads": "2",
        "head_dim": "4", "num_local_experts": "3", "num_experts_per_tok": "2", "max_position_embeddings": "64",
        "rms_norm_eps": "1e-5", "rope_theta": "10000.0", "tie_word_embeddings": "false", "bos_token_id": "1",
        "eos_token_id": "2", "sliding_window": "null",
    ]
    var tensors: [(name: String, shape: [Int])]

    init() {
        let (v, d, f, e) = (Self.vocabulary, Self.hidden, Self.width, Self.experts)
        tensors = [("model.embed_tokens.weight", [v, d]), ("model.norm.weight", [d]), ("lm_head.weight", [v, d])]
        for layer in 0..<2 {
            let prefix = "model.layers.\(layer)."
            tensors += [
                (prefix + "input_layernorm.weight", [d]), (prefix + "post_attention_layernorm.weight", [d]),
                (prefix + "self_attn.q_proj.weight", [16, d]), (prefix + "self_attn.k_proj.weight", [8, d]),
                (prefix + "self_attn.v_proj.weight", [8, d]), (prefix + "self_attn.o_proj.weight", [d, 16]),
                (prefix + "block_sparse_moe.gate.weight", [e, d]),
            ]
            for expert in 0..<e {
                let name = prefix + "block_sparse_moe.experts.\(expert)."
                tensors += [
                    (name + "w1.weight", [f, d]), (name + "w2.weight", [d, f]), (name + "w3.weight", [f, d]),
                ]
            }
        }
    }

    /// Each tensor's elements count up from 1000 times its number.
    func entries(_ range: Range<Int>? = nil) -> [SafetensorsFile.Entry] {
        (range ?? tensors.indices).map { index in
            let (name, shape) = tensors[index]
            let values = (0..<shape.reduce(1, *)).map { Float(index * 1000 + $0) }
            return .init(name: name, dtype: .f32, shape: shape, values: values)
        }
    }

    func writeConfig(to folder: URL) throws {
        let text = "{" + config.sorted { $0.key < $1.key }.map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}"
        try text.write(to: folder.appendingPathComponent("config.json"), atomically: true, encoding: .utf8)
    }

    func write(to folder: URL) throws {
        try writeConfig(to: folder)
        try SafetensorsFile.write(entries(), to: folder.appendingPathComponent("model.safetensors"))
    }

    mutating func rename(_ old: String, to new: String) {
        tensors[tensors.firstIndex { $0.name == old }!].name = new
    }

    mutating func reshape(_ name: String, to shape: [Int]) {
        tensors[tensors.firstIndex { $0.name == name }!].shape = shape
    }
}

extension Tensor {
    /// The elements of an F32 tensor.
    var floats: [Float] { Array(bytes.assumingMemoryBound(to: Float.self)) }
}

/// The FileError a body throws, or nil.
func checkpointError(_ body: () throws -> Void) -> FileError? {
    do {
        try body()
        return nil
    } catch {
        return error as? FileError
    }
}
