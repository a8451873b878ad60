import FileFormats

/// The metadata of one architecture (`llama.block_count`, …), with getters that say which file and key is wrong.
struct GGUFFields: CheckedSettings {
    let path: String
    let architecture: String
    let metadata: [String: GGUFValue]
    /// Keys that were asked for.
    private let asked = AskedKeys()

    init(path: String, architecture: String, metadata: [String: GGUFValue]) {
        self.path = path
        self.architecture = architecture
        self.metadata = metadata
    }

    func key(_ field: String) -> String { "\(architecture).\(field)" }

    subscript(field: String) -> GGUFValue? {
        asked.names.insert(key(field))
        return metadata[key(field)]
    }

    /// Sentences about keys of this architecture that nobody asked for and that ask for something.
    func unreadNotices() -> [String] {
        metadata.keys.filter { $0.hasPrefix(architecture + ".") && !asked.names.contains($0) }.sorted().compactMap {
            key in
            guard let value = metadata[key] else { return nil }
            let field = String(key.dropFirst(architecture.count + 1))
            if Self.facts.contains(field) || Self.neutral[field]?.contains(value.double ?? .nan) ?? false
                || (Self.neutral[field] != nil && value.bool == false)
            {
                return nil
            }
            return
                "GGUF metadata \(key) (\(value.kindDescription)) is not used: MoEScope computes \(architecture) without it"
        }
    }

    /// Keys that say nothing about the computation.
    private static let facts: Set = [
        "vocab_size", "tensor_data_layout", "rope.scaling.finetuned", "use_parallel_residual", "attention.causal",
        "expert_group_used_count", "feed_forward_length",
    ]

    /// Keys that are other models', with the values at which they change nothing.
    private static let neutral: [String: [Double]] = [
        "expert_weights_scale": [0, 1], "expert_gating_func": [0, 1], "expert_group_count": [0, 1],
        "expert_shared_count": [0], "leading_dense_block_count": [0], "interleave_moe_layer_step": [0, 1],
        "nextn_predict_layers": [0], "attention.clamp_kqv": [0], "embedding_scale": [1], "residual_scale": [0, 1],
        "logit_scale": [0, 1], "attention.scale": [0], "attention.sliding_window": [0], "expert_weights_norm": [0],
        "rope.scaling.yarn_log_multiplier": [0], "rope.scaling.yarn_attn_factor": [1], "attn_logit_softcapping": [0],
        "final_logit_softcapping": [0], "expert_shared_feed_forward_length": [0],
    ]

    func missing(_ field: String) -> FileError {
        FileError(
            .missing, file: path, field: "metadata \(key(field))", expected: "a value", found: "nothing",
            hint: "the model cannot be built without it")
    }

    func wrong(_ field: String, expected: String) -> FileError {
        FileError(
            .mismatch, file: path, field: "metadata \(key(field))", expected: expected,
            found: self[field]?.kindDescription ?? "nothing")
    }

    /// A size, or an array of the same size for every layer.
    func optionalSize(_ field: String) throws(FileError) -> Int? {
        guard let value = self[field] else { return nil }
        var size = value.int
        if let list = value.integers, let first = list.first {
            guard list.allSatisfy({ $0 == first }) else {
                throw FileError(
                    .unsupported, file: path, field: "metadata \(key(field))", expected: "one value for all layers",
                    found: value.kindDescription)
            }
            size = Int(first)
        }
        guard let size, size >= 1, size <= 1 << 31 else {
            throw wrong(field, expected: "an integer from 1 to 2³¹")
        }
        return size
    }

    /// A token id of the vocabulary, `tokenizer.ggml.…`.
    func token(_ name: String, vocabularySize: Int) throws(FileError) -> Int32? {
        guard let value = metadata["tokenizer.ggml.\(name)"] else { return nil }
        guard let id = value.int, 0..<vocabularySize ~= id else {
            throw FileError(
                .mismatch, file: path, field: "metadata tokenizer.ggml.\(name)",
                expected: "a token id below \(vocabularySize)", found: value.kindDescription)
        }
        return Int32(id)
    }
}

/// What readers of one file's metadata have asked for so far.
private final class AskedKeys {
    var names: Set<String> = []
}
