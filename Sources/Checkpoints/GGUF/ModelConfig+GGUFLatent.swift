import FileFormats
import Foundation

/// Latent attention in GGUF files (architecture deepseek2).
extension ModelConfig {
    /// The sizes of latent attention; nil: the family has none.
    ///
    /// Files since 2025 describe the attention of one head over latents (`attention.key_length` is the latent with what is rotated),
    /// and have the heads' own sizes under names that end in `_mla`; earlier ones have them where other architectures do.
    static func latent(
        _ fields: GGUFFields, _ family: Family, _ shapes: [String: [Int]]
    ) throws(FileError) -> (config: AttentionConfig.Latent, headSize: Int)? {
        guard family.latent != nil else { return nil }
        // Read, so that they are not called unknown where the others count.
        let (plainKeys, plainValues) = (
            try fields.optionalSize("attention.key_length"), try fields.optionalSize("attention.value_length")
        )
        _ = fields["attention.head_count_kv"]
        let (ownKeys, ownValues) = (
            try fields.optionalSize("attention.key_length_mla"), try fields.optionalSize("attention.value_length_mla")
        )
        guard let keys = ownKeys ?? plainKeys else { throw fields.missing("attention.key_length") }
        guard let values = ownValues ?? plainValues, values <= keys else {
            throw fields.wrong("attention.value_length", expected: "at most the size of keys, \(keys)")
        }
        let rotated = try fields.size("rope.dimension_count")
        guard rotated < keys else {
            throw fields.wrong("rope.dimension_count", expected: "less than the size of keys, \(keys)")
        }
        let queryRank = try fields.optionalSize("attention.q_lora_rank")
        let hasQueryLatent = shapes[TensorRole.placed(TensorRole.queryDown.ggufName, layer: 0)] != nil
        if hasQueryLatent, queryRank == nil { throw fields.missing("attention.q_lora_rank") }
        return (
            AttentionConfig.Latent(
                queryRank: hasQueryLatent ? queryRank : nil, rank: try fields.size("attention.kv_lora_rank"),
                valueSize: values), keys
        )
    }

    /// What scores are multiplied by, and YaRN's factor of cosines and sines, as llama.cpp has them for this architecture
    /// (`llama-context.cpp`, `models/deepseek2.cpp`); nil: 1/√d.
    ///
    /// With a multiplier for all dimensions the rotary embedding is left as it is; without one its factor counts in the scores too.
    static func latentScale(
        _ fields: GGUFFields, _ scaling: inout RopeScaling?, headSize: Int
    ) throws(FileError) -> Float? {
        let all = (try fields.optionalNumber("rope.scaling.yarn_log_multiplier") ?? 0) / 0.1
        guard scaling?.kind == .yarn, let factor = scaling?.factor, factor > 1 else { return nil }
        let given = try fields.optionalNumber("rope.scaling.attn_factor") ?? 1
        let stretch = 0.1 * Float(log(Double(factor)))
        let own = given * (all == 0 ? stretch + 1 : 1)
        scaling?.attentionFactor = own
        let magnitude = own * (stretch * all + 1)
        return magnitude * magnitude / Float(headSize).squareRoot()
    }
}
