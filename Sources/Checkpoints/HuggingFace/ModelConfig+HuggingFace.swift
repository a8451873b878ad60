import FileFormats
import Foundation
import RouterPolicies

/// A config with what else was found while it was read.
struct ReadConfig {
    var config: ModelConfig
    let family: Family
    /// Fields that are there, would matter, and are not used; in sentences.
    var notices: [String]
    /// How FP8 weights are scaled; nil: there are none.
    var blocks: ScaledBlocks?
}

extension ModelConfig {
    /// Reads `config.json` as the family's class in transformers reads it, every field checked on its own and against the
    /// others.
    static func huggingFace(_ url: URL) throws(FileError) -> ReadConfig {
        let file = try ConfigFile(url)
        guard let architecture = try file.optionalString("model_type") else { throw file.missing("model_type") }
        guard let family = Family.all.first(where: { $0.architecture == architecture }) else {
            throw Family.unknown(architecture, file: file.path)
        }
        let blocks = try file.refuseUnsupported(family)

        let hiddenSize = try file.size("hidden_size")
        let headCount = try file.size("num_attention_heads")
        let latent = try latent(file, family)
        let headSize: Int
        if let latent {
            headSize = latent.unrotated + latent.rotated
        } else if let given = try file.optionalSize("head_dim") {
            headSize = given
        } else if let usual = family.defaults.headSize, !file.isNull("head_dim") {
            headSize = usual
        } else {
            guard hiddenSize % headCount == 0 else {
                throw file.wrong("num_attention_heads", expected: "a divisor of hidden_size \(hiddenSize)")
            }
            headSize = hiddenSize / headCount
        }
        let vocabularySize = try file.size("vocab_size")
        let contextLength = try file.optionalSize("max_position_embeddings") ?? family.defaults.contextLength

        let expertSize = try file.size(family.expertSizeField)
        let sharedSize = try sharedSize(file, family, expertSize: expertSize)
        let experts = ExpertsConfig(
            count: try expertCount(file, family), size: expertSize, sharedSize: sharedSize,
            sharedIsGated: sharedSize != nil && family.sharedExpert?.isGated == true, clamp: try clamp(file, family))
        var (rotary, rotaryNotices) = try RotaryConfig.huggingFace(
            file, family, contextLength: contextLength, headSize: latent?.rotated ?? headSize, wholeHead: headSize)
        if let latent { rotary.size = latent.rotated }
        if let field = family.latent?.pairsField, try !file.flag(field, default: true) { rotary.layout = .halves }
        var hasBias = false
        if let bias = family.attentionBias { hasBias = try file.flag(bias.field, default: bias.isDefault) }
        var keyValueHeads = try file.optionalSize("num_key_value_heads")
        if keyValueHeads == nil, !file.isNull("num_key_value_heads") { keyValueHeads = family.defaults.keyValueHeads }
        var queryKeyNorm = family.queryKeyNorm
        if let field = family.queryKeyNormField, try !file.flag(field, default: false) { queryKeyNorm = nil }
        var attention = AttentionConfig(
            headCount: headCount, keyValueHeadCount: keyValueHeads ?? headCount,
            headSize: headSize, rotary: rotary, queryKeyNorm: queryKeyNorm,
            projectionClip: try family.clipField.flatMap { field throws(FileError) in try file.optionalNumber(field) },
            hasBias: hasBias, hasOutputBias: hasBias && family.attentionBias?.includesOutput == true,
            normalizesAfterRotation: family.normalizesAfterRotation, gatesHeads: family.gatesHeads,
            hasSinks: family.hasSinks, latent: latent?.config)
        if let latent {
            guard attention.keyValueHeadCount == headCount else {
                throw file.wrong(
                    "num_key_value_heads", expected: "the \(headCount) query heads, as each has its own keys")
            }
            guard latent.config.valueSize <= headSize else {
                throw file.wrong("v_head_dim", expected: "at most qk_nope_head_dim + qk_rope_head_dim, \(headSize)")
            }
            attention.scale = try latentScale(file, headSize: headSize)
            if family.rotary.growsQueries { attention.queryGrowth = try queryGrowth(file) }
        }
        var multipliers = Multipliers()
        if let field = family.embeddingScaleField, try file.flag(field, default: false) {
            multipliers.embedding = Float(Double(hiddenSize).squareRoot())
        }
        if family.hasMultipliers {
            attention.scale = try file.optionalNumber("attention_multiplier") ?? 1
            multipliers = Multipliers(
                embedding: try file.optionalNumber("embedding_multiplier") ?? 1,
                residual: try file.optionalNumber("residual_multiplier") ?? 1,
                logitDivisor: try file.optionalNumber("logits_scaling") ?? 1)
        }
        let layers = try layers(file, family)
        let hasDense = layers.contains { $0.feedForward == .dense }
        var config = ModelConfig(
            architecture: architecture,
            vocabularySize: vocabularySize,
            hiddenSize: hiddenSize,
            contextLength: contextLength,
            layers: layers,
            norm: NormConfig(
                kind: family.normKind, epsilon: try file.optionalNumber("rms_norm_eps") ?? family.defaults.normEpsilon,
                placement: family.normPlacement),
            attention: attention,
            router: try router(file, family),
            experts: experts,
            denseSize: hasDense ? try file.size(family.denseLayers?.sizeField ?? "intermediate_size") : nil,
            multipliers: multipliers,
            tiesOutputToEmbedding: try file.flag("tie_word_embeddings", default: family.defaults.tiesOutput),
            hasOutputBias: try family.outputBiasField.map { field throws(FileError) in
                try file.flag(field, default: false)
            } ?? false,
            bosToken: try file.token("bos_token_id", vocabularySize: vocabularySize),
            eosToken: try file.token("eos_token_id", vocabularySize: vocabularySize),
            balanceLossCoefficient: try file.optionalNumber("router_aux_loss_coef"))
        try config.checkConsistency { field, expected in
            file.wrong(field.huggingFaceName(family), expected: expected)
        }
        config.router.select.dropSingleGroup()
        return ReadConfig(
            config: config, family: family, notices: rotaryNotices + UnreadFields.notices(file, config),
            blocks: blocks)
    }

    private static func expertCount(_ file: ConfigFile, _ family: Family) throws(FileError) -> Int {
        for field in family.expertCountFields {
            if let count = try file.optionalSize(field) { return count }
        }
        throw file.missing(family.expertCountFields.last ?? "num_local_experts")
    }

    /// gpt-oss's bounds; nil: the family has none.
    private static func clamp(_ file: ConfigFile, _ family: Family) throws(FileError) -> ExpertsConfig.Clamp? {
        guard var clamp = family.clamp else { return nil }
        clamp.alpha = try file.optionalNumber("swiglu_alpha") ?? clamp.alpha
        clamp.limit = try file.optionalNumber("swiglu_limit") ?? clamp.limit
        guard clamp.limit > 0 else { throw file.wrong("swiglu_limit", expected: "a number above 0") }
        return clamp
    }

    /// The width of the expert that every token goes through; nil: there is none.
    private static func sharedSize(
        _ file: ConfigFile, _ family: Family, expertSize: Int
    ) throws(FileError) -> Int? {
        guard let shared = family.sharedExpert, let field = shared.countField ?? shared.sizeField else { return nil }
        var amount = try file.optionalSize(field, from: shared.isOptional ? 0 : 1)
        if amount == nil, !file.isNull(field) { amount = shared.byDefault }
        guard let amount else { throw file.missing(field) }
        guard amount > 0 else { return nil }
        guard shared.countField != nil else { return amount }
        guard amount <= 1 << 20 else { throw file.wrong(field, expected: "at most 2²⁰") }
        return amount * expertSize
    }

    /// The number of experts per token, or a list that says the same for every layer.
    private static func expertsPerToken(_ file: ConfigFile, _ family: Family) throws(FileError) -> Int {
        for field in family.expertsPerTokenFields {
            guard let value = file[field] else { continue }
            guard family.expertsPerTokenFields.count > 1, let list = value.array else {
                if let count = try file.optionalSize(field) { return count }
                continue
            }
            guard let first = list.first?.int, first >= 1, list.allSatisfy({ $0.int == first }) else {
                throw file.wrong(field, expected: "the same number from 1 for every layer")
            }
            return first
        }
        guard let usual = family.defaults.expertsPerToken else { throw file.missing(family.expertsPerTokenFields[0]) }
        return usual
    }

    /// The family's policy with what the config says about it.
    private static func router(_ file: ConfigFile, _ family: Family) throws(FileError) -> RouterPolicy {
        var policy = family.router
        policy.expertsPerToken = try expertsPerToken(file, family)
        if policy.score == .sparseMixer, policy.expertsPerToken != 2 {
            throw file.wrong(
                "num_experts_per_tok", expected: "2", hint: "SparseMixer is made for two experts per token")
        }
        let fields = family.routerFields
        if let field = fields.normalizes {
            policy.weigh.normalizes = try file.flag(field, default: family.defaults.normalizes)
        }
        if let field = fields.leastSum {
            policy.weigh.leastSum = try file.optionalNumber(field) ?? policy.weigh.leastSum
        }
        if let field = fields.scale { policy.weigh.scale = try file.optionalNumber(field) ?? policy.weigh.scale }
        if let field = fields.method {
            switch try file.optionalString(field) ?? "greedy" {
            case "greedy":
                // Read, so that they are not called unknown; they count for nothing.
                _ = (fields.groupCount.map { file[$0] }, fields.keptGroups.map { file[$0] })
                policy.select.groups = nil
            case "group_limited_greedy": break
            default: throw file.wrong(field, expected: "greedy or group_limited_greedy")
            }
        }
        if let field = fields.jitter { policy.jitter = try file.optionalNumber(field) ?? policy.jitter }
        if let field = fields.groupCount, let count = try file.optionalSize(field) {
            policy.select.groups?.count = count
        }
        if let field = fields.keptGroups, let kept = try file.optionalSize(field) { policy.select.groups?.kept = kept }
        return policy
    }

    /// What each layer is made of.
    private static func layers(_ file: ConfigFile, _ family: Family) throws(FileError) -> [LayerKind] {
        let count = try file.size("num_hidden_layers")
        guard count <= 100_000 else { throw file.wrong("num_hidden_layers", expected: "at most 100000") }
        let windows = try windows(file, family, layerCount: count)
        var (first, last) = (0, count)
        var step = 1
        var dense: Set<Int> = []
        if let fields = family.denseLayers {
            if let field = fields.firstField {
                first = try file.optionalSize(field, from: 0) ?? fields.firstByDefault
            }
            if let field = fields.lastField, file[field]?.int != -1 {
                last = try file.optionalSize(field, from: 0) ?? last
            }
            if let field = fields.stepField { step = try file.optionalSize(field) ?? 1 }
            if let field = fields.listField, let list = file[field] {
                guard let numbers = list.array?.map(\.int), numbers.allSatisfy({ $0 != nil }) else {
                    throw file.wrong(field, expected: "an array of layer numbers")
                }
                dense = Set(numbers.compactMap { $0 })
            }
            if let field = fields.typesField {
                if let list = file[field] {
                    let types = list.array?.map { $0.string ?? "" } ?? []
                    guard types.count == count, types.allSatisfy(["dense", "sparse"].contains) else {
                        throw file.wrong(field, expected: "dense or sparse for each of \(count) layers")
                    }
                    dense = Set(types.indices.filter { types[$0] == "dense" })
                } else {
                    dense = Set(0..<min(count, fields.firstByDefault))
                }
            }
        }
        return (0..<count).map { layer in
            let isDense = layer < first || layer > last || dense.contains(layer) || (layer + 1) % step != 0
            return LayerKind(
                attention: windows[layer].map { .windowed($0) } ?? .full, feedForward: isDense ? .dense : .experts)
        }
    }

    /// The window of each layer, as the family's class in transformers makes it from the config's fields.
    private static func windows(
        _ file: ConfigFile, _ family: Family, layerCount: Int
    ) throws(FileError) -> [Int?] {
        func size(default fallback: Int?) throws(FileError) -> Int? {
            let given = try file.optionalSize("sliding_window")
            return given == nil && !file.isNull("sliding_window") ? fallback : given
        }
        let none = [Int?](repeating: nil, count: layerCount)
        switch family.windows {
        case .none: return none
        case .everyLayer: return [Int?](repeating: try size(default: nil), count: layerCount)
        case .everyLayerIfUsed:
            guard try file.flag("use_sliding_window", default: false) else { return none }
            return [Int?](repeating: try size(default: 4096), count: layerCount)
        case .perLayerIfUsed:
            let isUsed = try file.flag("use_sliding_window", default: false)
            let below = try file.optionalSize("max_window_layers", from: 0) ?? 28
            var windowed = (0..<layerCount).map { isUsed && $0 % 2 == 0 && $0 < below }
            if let types = try file.layerTypes(count: layerCount) { windowed = types.map { $0 == "sliding_attention" } }
            guard windowed.contains(true) else { return none }
            guard isUsed else {
                throw file.wrong(
                    "layer_types", expected: "full_attention only, as use_sliding_window is not true",
                    hint: "the reference would attend to nothing in the windowed layers")
            }
            guard let window = try size(default: 4096) else {
                throw file.wrong("sliding_window", expected: "a number, as use_sliding_window is true")
            }
            return windowed.map { $0 ? window : nil }
        case .perLayer(let pattern, let usual):
            let window = try size(default: usual)
            var windowed: [Bool]
            switch pattern {
            case .from(let field, let first):
                let first = try file.optionalSize(field, from: 0) ?? first
                windowed = (0..<layerCount).map { window != nil && $0 >= first }
            case .period(let field, let length):
                var period = length
                if let field { period = try file.optionalSize(field) ?? length }
                windowed = (0..<layerCount).map { ($0 + 1) % period != 0 }
            }
            if let types = try file.layerTypes(count: layerCount) { windowed = types.map { $0 == "sliding_attention" } }
            guard windowed.contains(true) else { return none }
            guard let window else {
                throw file.wrong("sliding_window", expected: "a number, as there are layers with sliding_attention")
            }
            return windowed.map { $0 ? window : nil }
        }
    }
}

extension ConfigFile {
    /// Settings that no family here computes with.
    /// - Returns: how FP8 weights are scaled; nil: there are none.
    fileprivate func refuseUnsupported(_ family: Family) throws(FileError) -> ScaledBlocks? {
        var blocks: ScaledBlocks?
        let flags = family.refusedFlags.map { ($0, false) } + family.requiredFlags.map { ($0, true) }
        for (field, wanted) in flags where try flag(field, default: false) != wanted {
            throw FileError(
                .unsupported, file: path, field: "field \(field)", expected: "\(wanted)",
                found: self[field] == nil ? "no such field" : "\(!wanted)",
                hint: "MoEScope computes \(family.architecture) \(wanted ? "with" : "without") it only")
        }
        for (field, number) in family.requiredNumbers.sorted(by: { $0.key < $1.key }) {
            guard let given = try optionalSize(field, from: 0), given != number else { continue }
            throw FileError(
                .unsupported, file: path, field: "field \(field)", expected: "\(number)", found: "\(given)")
        }
        if let activation = try optionalString("hidden_act"), activation != "silu", activation != "swish" {
            throw FileError(
                .unsupported, file: path, field: "field hidden_act", expected: "\"silu\"", found: "\"\(activation)\"")
        }
        if let overrides = self["per_layer_config"], overrides.object?.count != 0 {
            throw FileError(
                .unsupported, file: path, field: "field per_layer_config",
                expected: "the same settings for every layer",
                found: overrides.kindDescription)
        }
        for field in ["quantization_config", "compression_config"] {
            guard let section = self[field]?.object, section.count > 0 else { continue }
            let method = section["quant_method"]?.string ?? section["format"]?.string
            if method == "mxfp4", family.readsMXFP4 { continue }
            if method == "fp8", field == "quantization_config" {
                blocks = try ScaledBlocks(self)
                continue
            }
            throw ForeignWeights.unsupported(path: path, field: "field \(field)", method: method)
        }
        return blocks
    }

    /// `layer_types`, one name a layer; the reference takes an older name of full attention as well.
    func layerTypes(count: Int) throws(FileError) -> [String]? {
        guard let value = self["layer_types"] else { return nil }
        let older = ["attention": "full_attention"]
        let types = value.array?.map { $0.string.map { older[$0] ?? $0 } ?? "" } ?? []
        let known: Set = ["full_attention", "sliding_attention"]
        guard types.count == count, types.allSatisfy(known.contains) else {
            throw wrong("layer_types", expected: "full_attention or sliding_attention for each of \(count) layers")
        }
        return types
    }
}

extension ModelConfig {
    /// Fields that are checked against each other, whatever the file format calls them.
    enum CheckedField {
        case keyValueHeads, headSize, expertsPerToken, layerCount, normEpsilon, ropeTheta, groupCount, keptGroups

        func huggingFaceName(_ family: Family) -> String {
            switch self {
            case .keyValueHeads: "num_key_value_heads"
            case .headSize: "head_dim"
            case .expertsPerToken: family.expertsPerTokenFields[family.expertsPerTokenFields.count - 1]
            case .layerCount: "num_hidden_layers"
            case .normEpsilon: "rms_norm_eps"
            case .ropeTheta: "rope_theta"
            case .groupCount: family.routerFields.groupCount ?? "n_group"
            case .keptGroups: family.routerFields.keptGroups ?? "topk_group"
            }
        }
    }

    /// - Parameter wrong: makes the error of a field from what was expected of it.
    func checkConsistency(
        wrong: (CheckedField, _ expected: String) -> FileError
    ) throws(FileError) {
        guard attention.headCount % attention.keyValueHeadCount == 0 else {
            throw wrong(.keyValueHeads, "a divisor of the \(attention.headCount) attention heads")
        }
        guard attention.rotatedSize % 2 == 0 else { throw wrong(.headSize, "an even number (rotary pairs)") }
        guard 2...attention.headSize ~= attention.rotatedSize else {
            throw wrong(.headSize, "at least the \(attention.rotatedSize) elements that are rotated")
        }
        guard expertsPerToken <= experts.count else {
            throw wrong(.expertsPerToken, "at most the \(experts.count) experts there are")
        }
        guard layerCount <= 100_000 else { throw wrong(.layerCount, "at most 100000") }
        guard !expertLayers.isEmpty else { throw wrong(.layerCount, "a layer that has experts") }
        if let groups = router.select.groups {
            guard groups.count >= 1, experts.count % groups.count == 0 else {
                throw wrong(.groupCount, "a divisor of the \(experts.count) experts")
            }
            guard groups.scoring == .largest || groups.count < experts.count else {
                throw wrong(.groupCount, "groups of two experts or more, of which the two best are summed")
            }
            guard 1...groups.count ~= groups.kept, groups.kept * (experts.count / groups.count) >= expertsPerToken
            else {
                throw wrong(.keptGroups, "at most \(groups.count) groups, with \(expertsPerToken) experts or more")
            }
        }
        guard norm.epsilon >= 0 else { throw wrong(.normEpsilon, "a number from 0") }
        guard attention.rotary.theta > 0 else { throw wrong(.ropeTheta, "a number above 0") }
    }
}
