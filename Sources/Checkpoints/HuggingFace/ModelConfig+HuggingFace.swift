import Foundation
import JSONText

extension ModelConfig {
    /// Reads `config.json`, every field checked on its own and against the others.
    static func huggingFace(_ url: URL) throws(CheckpointError) -> (config: ModelConfig, family: Family) {
        let file = try ConfigFile(url)
        guard let architecture = try file.optionalString("model_type") else { throw file.missing("model_type") }
        let known = Family.all.map(\.architecture).joined(separator: ", ")
        guard let family = Family.all.first(where: { $0.architecture == architecture }) else {
            throw CheckpointError(
                .unsupported, file: file.path, subject: "field model_type", expected: "one of \(known)",
                found: "\"\(architecture)\"")
        }
        if let activation = try file.optionalString("hidden_act"), activation != "silu" {
            throw CheckpointError(
                .unsupported, file: file.path, subject: "field hidden_act", expected: "\"silu\"",
                found: "\"\(activation)\"")
        }

        let hiddenSize = try file.size("hidden_size")
        let headCount = try file.size("num_attention_heads")
        let headSize: Int
        if let given = try file.optionalSize("head_dim") {
            headSize = given
        } else {
            guard hiddenSize % headCount == 0 else {
                throw file.wrong("num_attention_heads", expected: "a divisor of hidden_size \(hiddenSize)")
            }
            headSize = hiddenSize / headCount
        }
        let vocabularySize = try file.size("vocab_size")
        let contextLength = try file.size("max_position_embeddings")
        var rope = try file.section("rope_parameters")
        if rope == nil { rope = try file.section("rope_scaling") }
        var ropeTheta = try file.optionalNumber("rope_theta")
        if ropeTheta == nil { ropeTheta = try rope?.optionalNumber("rope_theta") }

        var config = ModelConfig(
            architecture: architecture,
            vocabularySize: vocabularySize,
            hiddenSize: hiddenSize,
            layerCount: try file.size("num_hidden_layers"),
            headCount: headCount,
            keyValueHeadCount: try file.optionalSize("num_key_value_heads") ?? headCount,
            headSize: headSize,
            expertSize: try file.size(family.expertSizeField),
            expertCount: try file.size(family.expertCountField),
            expertsPerToken: try file.size("num_experts_per_tok"),
            contextLength: contextLength,
            slidingWindow: try slidingWindow(file),
            normEpsilon: try file.optionalNumber("rms_norm_eps") ?? family.defaultNormEpsilon,
            ropeTheta: ropeTheta ?? family.defaultRopeTheta,
            renormalizesExpertWeights: try file.flag(
                "norm_topk_prob", default: family.renormalizesExpertWeights),
            tiesOutputToEmbedding: try file.flag("tie_word_embeddings", default: family.tiesOutputByDefault),
            bosToken: try file.token("bos_token_id", vocabularySize: vocabularySize),
            eosToken: try file.token("eos_token_id", vocabularySize: vocabularySize),
            balanceLossCoefficient: try file.optionalNumber("router_aux_loss_coef"),
            normKind: family.normKind,
            queryKeyNorm: family.queryKeyNorm,
            routerScoring: family.routerScoring)
        if let rope {
            config.ropeScaling = try RopeScaling.huggingFace(rope, contextLength: contextLength, file: file)
        }
        try config.checkConsistency { field, expected in
            file.wrong(field.huggingFaceName(family), expected: expected)
        }
        return (config, family)
    }

    /// `sliding_window`, unless `use_sliding_window` turns it off (Qwen).
    private static func slidingWindow(_ file: ConfigFile) throws(CheckpointError) -> Int? {
        guard try file.flag("use_sliding_window", default: true) else { return nil }
        return try file.optionalSize("sliding_window")
    }
}

extension ModelConfig {
    /// Fields that are checked against each other, whatever the file format calls them.
    enum CheckedField {
        case keyValueHeads, headSize, expertsPerToken, layerCount, normEpsilon, ropeTheta

        func huggingFaceName(_ family: Family) -> String {
            switch self {
            case .keyValueHeads: "num_key_value_heads"
            case .headSize: "head_dim"
            case .expertsPerToken: "num_experts_per_tok"
            case .layerCount: "num_hidden_layers"
            case .normEpsilon: "rms_norm_eps"
            case .ropeTheta: "rope_theta"
            }
        }
    }

    /// - Parameter wrong: makes the error of a field from what was expected of it.
    func checkConsistency(
        wrong: (CheckedField, _ expected: String) -> CheckpointError
    ) throws(CheckpointError) {
        guard headCount % keyValueHeadCount == 0 else {
            throw wrong(.keyValueHeads, "a divisor of the \(headCount) attention heads")
        }
        guard headSize % 2 == 0 else { throw wrong(.headSize, "an even number (rotary pairs)") }
        guard expertsPerToken <= expertCount else {
            throw wrong(.expertsPerToken, "at most the \(expertCount) experts there are")
        }
        guard layerCount <= 100_000 else { throw wrong(.layerCount, "at most 100000") }
        guard normEpsilon >= 0 else { throw wrong(.normEpsilon, "a number from 0") }
        guard ropeTheta > 0 else { throw wrong(.ropeTheta, "a number above 0") }
    }
}

extension RopeScaling {
    /// `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5); nil for the plain rotary embedding.
    static func huggingFace(
        _ section: ConfigFile, contextLength: Int, file: ConfigFile
    ) throws(CheckpointError) -> RopeScaling? {
        var name = try section.optionalString("rope_type")
        if name == nil { name = try section.optionalString("type") }
        var original = try section.optionalSize("original_max_position_embeddings")
        if original == nil { original = try file.optionalSize("original_max_position_embeddings") }
        func factor() throws(CheckpointError) -> Float {
            guard let factor = try section.optionalNumber("factor") else { throw section.missing("factor") }
            guard factor >= 1 else { throw section.wrong("factor", expected: "a number from 1") }
            return factor
        }
        switch name {
        case nil, "default": return nil
        case "linear":
            return RopeScaling(kind: .linear, factor: try factor(), originalContext: original ?? contextLength)
        case "yarn":
            let factor = try factor()
            return RopeScaling(
                kind: .yarn, factor: factor, originalContext: original ?? contextLength,
                betaFast: try section.optionalNumber("beta_fast") ?? 32,
                betaSlow: try section.optionalNumber("beta_slow") ?? 1,
                roundsRamp: try section.flag("truncate", default: true),
                attentionFactor: try yarnAttentionFactor(section, factor: factor))
        case let name?:
            throw CheckpointError(
                .unsupported, file: section.path, subject: "field \(section.prefix)rope_type",
                expected: "default, linear or yarn", found: "\"\(name)\"")
        }
    }

    private static func yarnAttentionFactor(_ section: ConfigFile, factor: Float) throws(CheckpointError) -> Float {
        if let given = try section.optionalNumber("attention_factor") { return given }
        func magnitude(_ scale: Float) -> Float { factor <= 1 ? 1 : 0.1 * scale * Float(log(Double(factor))) + 1 }
        if let scale = try section.optionalNumber("mscale"),
            let allDimensions = try section.optionalNumber("mscale_all_dim"), scale != 0, allDimensions != 0
        {
            return magnitude(scale) / magnitude(allDimensions)
        }
        return magnitude(1)
    }
}
