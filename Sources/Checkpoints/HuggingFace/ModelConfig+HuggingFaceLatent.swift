import FileFormats
import Foundation

/// Latent attention in `config.json`.
extension ModelConfig {
    /// The sizes of latent attention; nil: the family has none.
    static func latent(
        _ file: ConfigFile, _ family: Family
    ) throws(FileError) -> (config: AttentionConfig.Latent, rotated: Int, unrotated: Int)? {
        guard let usual = family.latent else { return nil }
        var queryRank = try file.optionalSize("q_lora_rank")
        if queryRank == nil, !file.isNull("q_lora_rank") { queryRank = usual.queryRank }
        let config = AttentionConfig.Latent(
            queryRank: queryRank, rank: try file.optionalSize("kv_lora_rank") ?? usual.rank,
            valueSize: try file.optionalSize("v_head_dim") ?? usual.valueSize)
        return (
            config, try file.optionalSize("qk_rope_head_dim") ?? usual.rotatedSize,
            try file.optionalSize("qk_nope_head_dim") ?? usual.unrotatedSize
        )
    }

    /// What latent attention multiplies scores with: 1/√d, times the square of YaRN's magnitude for all dimensions
    /// (`yarn_apply_mscale`).
    static func latentScale(_ file: ConfigFile, headSize: Int) throws(FileError) -> Float? {
        var section = try file.section("rope_scaling")
        if section == nil { section = try file.section("rope_parameters") }
        guard let section, let kind = section["rope_type"]?.string ?? section["type"]?.string, kind != "default",
            let all = section["mscale_all_dim"]?.double, all != 0
        else { return nil }
        guard let factor = section["factor"]?.double, factor > 0 else {
            throw section.wrong("factor", expected: "a number above 0")
        }
        let magnitude = factor <= 1 ? 1 : 0.1 * all * log(factor) + 1
        return Float(magnitude * magnitude / Double(headSize).squareRoot())
    }

    /// How queries grow (`get_llama_4_attn_scale`); the reference needs both numbers.
    static func queryGrowth(_ file: ConfigFile) throws(FileError) -> AttentionConfig.QueryGrowth {
        var section = try file.section("rope_scaling")
        if section == nil { section = try file.section("rope_parameters") }
        guard let section else { throw file.missing("rope_parameters") }
        guard let beta = try section.optionalNumber("llama_4_scaling_beta") else {
            throw section.missing("llama_4_scaling_beta")
        }
        guard let period = try section.optionalSize("original_max_position_embeddings") else {
            throw section.missing("original_max_position_embeddings")
        }
        // A copy of the field outside, of which nothing follows.
        _ = section["max_position_embeddings"]
        return AttentionConfig.QueryGrowth(beta: beta, period: period)
    }
}
