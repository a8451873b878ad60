import Checkpoints
import Foundation
import GGUFFormat
import Tensors

extension GGUFExport {
    typealias Metadata = [(key: String, value: GGUFValue)]

    static func metadata(
        _ checkpoint: Checkpoint, mix: QuantizationMix, tokenizer: Metadata
    ) throws(CheckpointError) -> Metadata {
        let own: Metadata = [
            ("general.file_type", .unsigned(mix.fileType)), ("general.quantization_version", .unsigned(2)),
        ]
        if checkpoint.url.pathExtension == "gguf" {
            let header = try GGUFFile(checkpoint.files[0]).header
            // Everything the file says stays, but for what is about the file itself.
            let dropped = own.map(\.key) + ["general.alignment", "split.no", "split.count", "split.tensors.count"]
            return header.keys.filter { !dropped.contains($0) }.compactMap { key in
                header.metadata[key].map { (key, $0) }
            } + own
        }
        guard let architecture = checkpoint.config.ggufArchitecture else {
            throw CheckpointError(
                .unsupported, file: checkpoint.url.path, subject: "architecture",
                found: checkpoint.config.architecture)
        }
        // GGUF stores LongRoPE's factors as tensors of their own, and llama.cpp scales attention differently.
        guard checkpoint.config.ropeScaling?.kind != .longRope else {
            throw CheckpointError(
                .unsupported, file: checkpoint.url.path, subject: "rotary scaling", expected: "none, linear or yarn",
                found: "longrope")
        }
        let general: Metadata = [
            ("general.architecture", .string(Array(architecture.utf8))),
            ("general.type", .string(Array("model".utf8))),
            ("general.name", .string(Array(checkpoint.name.utf8))),
        ]
        return general + own + keys(checkpoint.config, architecture) + tokenizer
    }

    /// The config in GGUF's words.
    private static func keys(_ config: ModelConfig, _ architecture: String) -> Metadata {
        var result: Metadata = []
        func add(_ key: String, _ value: Int?) {
            if let value { result.append(("\(architecture).\(key)", .unsigned(UInt64(value)))) }
        }
        func add(_ key: String, _ value: Float?) {
            if let value { result.append(("\(architecture).\(key)", .float(Double(value)))) }
        }
        add("vocab_size", config.vocabularySize)
        add("context_length", config.contextLength)
        add("embedding_length", config.hiddenSize)
        add("block_count", config.layerCount)
        add("feed_forward_length", config.expertSize)
        if config.ggufNamesExpertSize { add("expert_feed_forward_length", config.expertSize) }
        add("expert_shared_feed_forward_length", config.sharedExpertSize)
        add("expert_count", config.expertCount)
        add("expert_used_count", config.expertsPerToken)
        result.append(("\(architecture).expert_weights_norm", .bool(config.renormalizesExpertWeights)))
        add("attention.head_count", config.headCount)
        add("attention.head_count_kv", config.keyValueHeadCount)
        add("attention.key_length", config.headSize)
        add("attention.value_length", config.headSize)
        add("attention.sliding_window", config.slidingWindow)
        add("attention.clamp_kqv", config.projectionClip)
        // llama.cpp asks for this name in every family, layer norms included.
        add("attention.layer_norm_rms_epsilon", config.normEpsilon)
        add("rope.dimension_count", config.headSize)
        add("rope.freq_base", config.ropeTheta)
        if config.attentionScale != nil {
            add("attention.scale", config.attentionScale)
            add("embedding_scale", config.embeddingMultiplier)
            add("residual_scale", config.residualMultiplier)
            add("logit_scale", config.logitDivisor)
        }
        if let scaling = config.ropeScaling, scaling.kind != .longRope {
            let name = scaling.kind == .yarn ? "yarn" : "linear"
            result.append(("\(architecture).rope.scaling.type", .string(Array(name.utf8))))
            add("rope.scaling.factor", scaling.factor)
            add("rope.scaling.original_context_length", scaling.originalContext)
            if scaling.kind == .yarn {
                let usual = 0.1 * Float(log(Double(max(1, scaling.factor)))) + 1
                add("rope.scaling.attn_factor", scaling.attentionFactor / usual)
            }
        }
        return result
    }
}
