import FileFormats
import Foundation
import Tensors

extension ModelConfig {
    /// What a GGUF file with this metadata and tensors of these shapes is read as.
    /// - Parameter tables: the tensors whose values belong to the config: LongRoPE's.
    package static func gguf(
        metadata: [String: GGUFValue], shapes: [String: [Int]], tables: [Tensor], path: String
    ) throws(FileError) -> ModelConfig {
        let named = Dictionary(tables.map { ($0.name, $0) }) { first, _ in first }
        return try gguf(GGUFWeights(metadata: metadata, shapes: shapes, tensors: named), path: path).config
    }

    /// A setting in which another config would compute something else.
    package struct Difference: Sendable, Equatable {
        /// Hugging Face's name for it, where there is one.
        package let setting: String
        package let mine: String
        package let theirs: String
    }

    /// Every setting that the computation depends on and that differs; numbers may differ in their last bits.
    package func differences(from other: ModelConfig) -> [Difference] {
        let (mine, theirs) = (canonical.leaves, other.canonical.leaves)
        return Set(mine.keys).union(theirs.keys).sorted().compactMap { path in
            let (a, b) = (mine[path] ?? "absent", theirs[path] ?? "absent")
            if a == b { return nil }
            if let x = Double(a), let y = Double(b), abs(x - y) <= 2e-6 * max(abs(x), abs(y)) { return nil }
            return Difference(setting: Self.setting(path), mine: a, theirs: b)
        }
    }

    private static func setting(_ path: String) -> String {
        let parts = path.split(separator: ".").map(String.init)
        if parts.count > 2, parts[0] == "layers", ["attention", "window"].contains(parts[2]) {
            return "the window of layer \(parts[1])"
        }
        return parts.last.flatMap { names[$0] } ?? path
    }

    /// The same computation with one way of saying it, and without what only describes.
    private var canonical: ModelConfig {
        var config = self
        // The order of the rows of q and k follows the format; tokens are the tokenizer's.
        config.attention.rotary.layout = .halves
        // Some architectures of GGUF stand for several families.
        config.architecture = config.ggufArchitecture ?? config.architecture
        (config.bosToken, config.eosToken, config.balanceLossCoefficient) = (nil, nil, nil)
        if var scaling = config.attention.rotary.scaling {
            if let short = scaling.shortAttentionFactor, short == scaling.longAttentionFactor {
                scaling.attentionFactor = short
                (scaling.shortAttentionFactor, scaling.longAttentionFactor) = (nil, nil)
            }
            if let short = scaling.shortAttentionFactor { scaling.attentionFactor = short }
            // LongRoPE's factor has done its work in the attention factor; a linear scaling never looks at the context.
            if scaling.kind == .longRope { scaling.factor = 1 }
            if scaling.kind == .linear, scaling.longAttentionFactor == nil { scaling.originalContext = 0 }
            config.attention.rotary.scaling =
                scaling.kind == .linear && scaling.factor == 1 && scaling.attentionFactor == 1
                    && scaling.longAttentionFactor == nil ? nil : scaling
        }
        if config.attention.scale == 1 / Float(config.attention.headSize).squareRoot() { config.attention.scale = nil }
        return config
    }

    /// Every value by its path, "router.jitter": "0.01": the config as it was understood.
    package var leaves: [String: String] {
        guard let data = try? JSONEncoder().encode(self), let json = try? JSON.parse(Array(data)) else { return [:] }
        var result: [String: String] = [:]
        func add(_ value: JSON, _ path: String) {
            switch value {
            case .object(let object):
                for (key, value) in zip(object.keys, object.values) { add(value, "\(path).\(key)") }
            case .array(let list): for (index, value) in list.enumerated() { add(value, "\(path).\(index)") }
            default: result[String(path.dropFirst())] = value.string ?? value.kindDescription
            }
        }
        add(json, "")
        return result
    }

    private static let names = [
        "jitter": "router_jitter_noise", "roundsRamp": "truncate", "betaFast": "beta_fast", "betaSlow": "beta_slow",
        "normalizes": "norm_topk_prob", "leastSum": "moe_norm_min", "alpha": "swiglu_alpha", "limit": "swiglu_limit",
        "shortAttentionFactor": "short_mscale", "longAttentionFactor": "long_mscale",
        "originalContext": "original_max_position_embeddings", "projectionClip": "clip_qkv", "theta": "rope_theta",
        "attentionFactor": "attention_factor", "epsilon": "rms_norm_eps", "scale": "attention_multiplier",
        "embedding": "embedding_multiplier", "residual": "residual_multiplier", "logitDivisor": "logits_scaling",
    ]
}
