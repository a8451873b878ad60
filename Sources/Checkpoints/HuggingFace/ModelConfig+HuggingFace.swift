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
            expertCount: try expertCount(file, family),
            expertsPerToken: try file.size("num_experts_per_tok"),
            contextLength: contextLength,
            slidingWindow: try slidingWindow(file, family),
            normEpsilon: try file.optionalNumber("rms_norm_eps") ?? family.defaultNormEpsilon,
            ropeTheta: ropeTheta ?? family.defaultRopeTheta,
            renormalizesExpertWeights: try file.flag(
                "norm_topk_prob", default: family.renormalizesExpertWeights),
            tiesOutputToEmbedding: try file.flag("tie_word_embeddings", default: false),
            bosToken: try file.token("bos_token_id", vocabularySize: vocabularySize),
            eosToken: try file.token("eos_token_id", vocabularySize: vocabularySize),
            balanceLossCoefficient: try file.optionalNumber("router_aux_loss_coef"),
            normKind: family.normKind,
            queryKeyNorm: family.queryKeyNorm,
            routerScoring: family.routerScoring)
        if let rope {
            config.ropeScaling = try RopeScaling.huggingFace(
                rope, contextLength: contextLength, headSize: headSize, file: file)
        }
        try config.readFamilyFields(file, family)
        try config.checkConsistency { field, expected in
            file.wrong(field.huggingFaceName(family), expected: expected)
        }
        return (config, family)
    }

    private static func expertCount(_ file: ConfigFile, _ family: Family) throws(CheckpointError) -> Int {
        for field in family.expertCountFields {
            if let count = try file.optionalSize(field) { return count }
        }
        throw file.missing(family.expertCountFields[0])
    }

    /// `sliding_window`, unless `use_sliding_window` turns it off (Qwen); 0 is none.
    private static func slidingWindow(_ file: ConfigFile, _ family: Family) throws(CheckpointError) -> Int? {
        let isUsed = try file.flag("use_sliding_window", default: !family.hasWindowPerLayer)
        guard isUsed, let window = try file.optionalSize("sliding_window", from: 0), window > 0 else { return nil }
        guard !family.hasWindowPerLayer else {
            throw CheckpointError(
                .unsupported, file: file.path, subject: "field use_sliding_window", expected: "false",
                found: "true", hint: "windows that differ from layer to layer are not supported")
        }
        return window
    }

    /// What only some families have.
    private mutating func readFamilyFields(_ file: ConfigFile, _ family: Family) throws(CheckpointError) {
        if let field = family.sharedExpertSizeField { sharedExpertSize = try file.size(field) }
        if let field = family.routerJitterField { routerJitter = try file.optionalNumber(field) ?? 0.01 }
        projectionClip = try file.optionalNumber("clip_qkv")
        if family.hasMultipliers {
            attentionScale = try file.optionalNumber("attention_multiplier") ?? 1
            embeddingMultiplier = try file.optionalNumber("embedding_multiplier") ?? 1
            residualMultiplier = try file.optionalNumber("residual_multiplier") ?? 1
            logitDivisor = try file.optionalNumber("logits_scaling") ?? 1
        }
        hasAttentionBias = try file.flag(family.attentionBias.field, default: family.attentionBias.isDefault)
        if let field = family.outputBiasField { hasOutputBias = try file.flag(field, default: false) }
        // Layers without experts.
        if let step = try file.optionalSize("decoder_sparse_step"), step != 1 {
            throw CheckpointError(
                .unsupported, file: file.path, subject: "field decoder_sparse_step", expected: "1", found: "\(step)",
                hint: "every layer must have experts")
        }
        if let dense = file["mlp_only_layers"]?.array, !dense.isEmpty {
            throw CheckpointError(
                .unsupported, file: file.path, subject: "field mlp_only_layers", expected: "no layers",
                found: "\(dense.count)", hint: "every layer must have experts")
        }
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
