import Checkpoints
import FileFormats
import Foundation
import TestSupport
import Testing

/// What each family's class in transformers 5.24 reads (`configuration_*.py`, `modeling_*.py`), and what is named instead.
@Suite struct ConfigFieldTests {
    /// A family's fixture folder with some fields of its config changed; NSNull writes null, "" takes a field away.
    private func open(_ family: String, _ changes: [String: Any]) throws -> Checkpoint {
        let folder = try TemporaryFolder()
        let original = Fixtures.folder.appending(path: "families/\(family)")
        var config = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: original.appending(path: "config.json")))
                as? [String: Any])
        for (field, value) in changes { config[field] = value as? String == "" ? nil : value }
        try JSONSerialization.data(withJSONObject: config).write(to: folder.path("config.json"))
        try FileManager.default.createSymbolicLink(
            at: folder.path("model.safetensors"), withDestinationURL: original.appending(path: "model.safetensors"))
        return try Checkpoint.open(folder.url)
    }

    private func names(_ checkpoint: Checkpoint, _ field: String) -> Bool {
        checkpoint.notices.contains { $0.contains(field) && $0.contains("not used") }
    }

    /// `MixtralTopKRouter` divides always; `GraniteMoeTopKRouter` takes a softmax over the chosen.
    @Test(arguments: ["mixtral-linear", "granitemoe"])
    func aFamilyThatAlwaysDividesIsNotTold(_ family: String) throws {
        let checkpoint = try open(family, ["norm_topk_prob": false])
        #expect(checkpoint.config.router.weigh.normalizes)
        #expect(names(checkpoint, "norm_topk_prob"))
        #expect(try open(family, ["norm_topk_prob": true]).notices.isEmpty)
    }

    @Test(arguments: ["olmoe", "qwen2_moe", "qwen3_moe"])
    func aFamilyThatReadsTheFieldObeysIt(_ family: String) throws {
        for value in [true, false] {
            let checkpoint = try open(family, ["norm_topk_prob": value])
            #expect(checkpoint.config.router.weigh.normalizes == value)
            #expect(!names(checkpoint, "norm_topk_prob"))
        }
    }

    /// "diff with mixtral: no sliding" in both classes.
    @Test(arguments: ["olmoe", "granitemoe"])
    func aFamilyWithoutWindowsHasNone(_ family: String) throws {
        let checkpoint = try open(family, ["sliding_window": 8])
        #expect(checkpoint.config.slidingWindow == nil)
        #expect(names(checkpoint, "sliding_window"))
        #expect(try open(family, ["sliding_window": 8, "use_sliding_window": false]).notices.isEmpty)
    }

    @Test func mixtralHasNoSwitchForItsWindow() throws {
        let checkpoint = try open("mixtral-linear", ["sliding_window": 8, "use_sliding_window": false])
        #expect(checkpoint.config.slidingWindow == 8)
        #expect(names(checkpoint, "use_sliding_window"))
    }

    /// `Qwen3MoeConfig`: every layer, where `use_sliding_window` is true; 4,096 where no size is given.
    @Test func windowsOfQwen3() throws {
        #expect(try open("qwen3_moe", ["sliding_window": 5]).config.slidingWindow == nil)
        #expect(try open("qwen3_moe", ["sliding_window": 5, "use_sliding_window": true]).config.slidingWindow == 5)
        #expect(try open("qwen3_moe", ["sliding_window": "", "use_sliding_window": true]).config.slidingWindow == 4096)
        #expect(
            try open("qwen3_moe", ["sliding_window": NSNull(), "use_sliding_window": true]).config.slidingWindow == nil)
    }

    /// `Qwen2MoeConfig`: even layers below `max_window_layers`, or those that `layer_types` names.
    @Test func windowsOfQwen2() throws {
        let used: [String: Any] = ["sliding_window": 5, "use_sliding_window": true, "layer_types": ""]
        func windows(_ more: [String: Any]) throws -> [Int?] {
            try open("qwen2_moe", used.merging(more) { $1 }).config.layers.map(\.attention.window)
        }
        #expect(try windows([:]) == [5, nil])
        #expect(try windows(["max_window_layers": 0]) == [nil, nil])
        #expect(try windows(["layer_types": ["full_attention", "sliding_attention"]]) == [nil, 5])
        #expect(try windows(["use_sliding_window": false]) == [nil, nil])
        let error = checkpointError {
            _ = try windows(["use_sliding_window": false, "layer_types": ["full_attention", "sliding_attention"]])
        }
        #expect(error?.field == "field layer_types")
    }

    @Test func denseLayersOfQwen() throws {
        // The fixture has experts in every layer, so the dense network is what is missing.
        let error = checkpointError { _ = try open("qwen3_moe", ["mlp_only_layers": [1]]) }
        #expect(error?.field == "tensor model.layers.1.mlp.gate_proj.weight")
        #expect(names(try open("olmoe", ["mlp_only_layers": [1]]), "mlp_only_layers"))
    }

    /// The last of two spellings that a class sets counts: `attribute_map`.
    @Test func experts() throws {
        for (family, counts) in [
            ("mixtral-linear", "num_experts"), ("qwen3_moe", "num_local_experts"), ("olmoe", "num_local_experts"),
        ] {
            let error = checkpointError { _ = try open(family, [counts: 3]) }
            #expect(error?.reason == .mismatch, "\(family)")
        }
        #expect(names(try open("qwen2_moe", ["num_local_experts": 3]), "num_local_experts"))
        #expect(names(try open("granitemoe", ["num_experts": 3]), "num_experts"))
    }

    /// Absent is the class's own number, null is as many as query heads.
    @Test func keyValueHeads() throws {
        let absent = checkpointError { _ = try open("qwen3_moe", ["num_key_value_heads": ""]) }
        #expect(absent?.expected?.contains("[64") == true, "4 heads of 16")
        let config = try open("mixtral-linear", ["num_experts_per_tok": "", "max_position_embeddings": ""]).config
        #expect(config.expertsPerToken == 2)
        #expect(config.contextLength == 131_072)
    }

    @Test func sparseMixerChoosesTwo() throws {
        for count in [1, 3] {
            let error = checkpointError { _ = try open("phimoe", ["num_experts_per_tok": count]) }
            #expect(error?.field == "field num_experts_per_tok")
            #expect(error?.expected == "2")
        }
    }

    @Test func otherFamiliesFields() throws {
        for (field, value) in [
            ("clip_qkv", 0.5), ("attention_bias", true), ("embedding_multiplier", 2.0), ("first_k_dense_replace", 1),
            ("routed_scaling_factor", 2.5), ("lm_head_bias", true), ("final_logit_softcapping", 30.0),
            ("use_qk_norm", true),
            ("partial_rotary_factor", 0.5),
        ] as [(String, Any)] {
            #expect(names(try open("mixtral-window", [field: value]), field), "\(field)")
        }
        #expect(try open("mixtral-window", ["routed_scaling_factor": 1.0, "n_group": 1]).notices.isEmpty)
    }

    @Test(arguments: [
        ("gptq", "GPTQ"), ("awq", "AWQ"), ("compressed-tensors", "compressed-tensors"),
        ("fbgemm_fp8", "FP8 with scales"),
        ("bitsandbytes", "bitsandbytes"),
    ])
    func otherToolsQuantization(method: String, name: String) throws {
        let error = checkpointError { _ = try open("olmoe", ["quantization_config": ["quant_method": method]]) }
        #expect(error?.reason == .unsupported)
        #expect(error?.problem == "the weights are quantized by \(name)")
        #expect(error?.description.contains("\n") == false)
    }
}

/// Rotary settings in two places, and Phi-3.5-MoE's own reading of them (`RotaryEmbeddingConfigMixin`, `PhimoeConfig`).
@Suite struct RotaryFieldTests {
    private func read(_ fields: [String: Any], family: String = "mixtral") throws -> (RotaryConfig, [String]) {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        model.config["model_type"] = "\"\(family)\""
        model.config["rope_theta"] = nil
        for (field, value) in fields {
            model.config[field] = String(
                decoding: try JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed), as: UTF8.self)
        }
        try model.write(to: folder.url)
        if family != "mixtral" {
            return (try Checkpoint.config(folder.url).attention.rotary, [])
        }
        let checkpoint = try Checkpoint.open(folder.url)
        return (checkpoint.config.attention.rotary, checkpoint.notices)
    }

    private let yarn: [String: Any] = ["rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16]

    @Test func ropeScalingGoesFirstAsAWhole() throws {
        let (rotary, notices) = try read([
            "rope_scaling": yarn, "rope_parameters": ["rope_type": "default", "rope_theta": 5e5],
        ])
        #expect(rotary.scaling?.kind == .yarn)
        #expect(rotary.theta == 1e6, "the class's own: the section that holds another base is not read")
        #expect(notices.contains { $0.contains("rope_parameters is not used") })
        #expect(try read(["rope_scaling": [String: Any](), "rope_parameters": yarn]).0.scaling?.kind == .yarn)
    }

    @Test func theBaseInTheSectionGoesFirst() throws {
        let (rotary, notices) = try read([
            "rope_theta": 1e4, "rope_parameters": ["rope_type": "default", "rope_theta": 5e5],
        ])
        #expect(rotary.theta == 5e5)
        #expect(notices.contains { $0.contains("rope_theta") && $0.contains("not used") })
        #expect(try read(["rope_theta": 1e4, "rope_scaling": yarn]).0.theta == 1e4)
    }

    @Test func whatNullMeans() throws {
        #expect(try read(["rope_scaling": yarn.merging(["truncate": NSNull()]) { $1 }]).0.scaling?.roundsRamp == false)
        #expect(try read(["rope_scaling": yarn]).0.scaling?.roundsRamp == true)
        let derived = try read(["rope_scaling": yarn.merging(["factor": NSNull()]) { $1 }]).0.scaling
        #expect(derived?.factor == 4, "a context of 64 over 16")
        #expect(
            checkpointError { _ = try read(["rope_scaling": ["rope_type": "yarn"]]) }?.field
                == "field rope_scaling.factor")
        #expect(try read(["rope_scaling": yarn.merging(["beta_fast": 0]) { $1 }]).0.scaling?.betaFast == 32)
    }

    @Test func theOriginalContextGivenTwice() throws {
        let (rotary, notices) = try read(["rope_scaling": yarn, "original_max_position_embeddings": 32])
        #expect(rotary.scaling?.originalContext == 32)
        #expect(notices.contains { $0.contains("original_max_position_embeddings") })
        let long: [String: Any] = [
            "type": "longrope", "short_factor": [1, 1], "long_factor": [2, 2], "short_mscale": 1.1, "long_mscale": 1.3,
            "original_max_position_embeddings": 16,
        ]
        let phi = try read(["rope_scaling": long, "original_max_position_embeddings": 32], family: "phimoe").0
        #expect(phi.scaling?.originalContext == 16)
        #expect(phi.scaling?.longAttentionFactor == 1.3)
    }

    /// Other families' LongRoPE has one attention factor; Phi-3.5-MoE's magnitudes hold for every scaling, and must be there.
    @Test func magnitudes() throws {
        let scaling = yarn.merging(["short_mscale": 1.1, "long_mscale": 1.3]) { $1 }
        let (rotary, notices) = try read(["rope_scaling": scaling])
        #expect(rotary.scaling?.longAttentionFactor == nil)
        #expect(notices.filter { $0.contains("_mscale") }.count == 2)
        #expect(try read(["rope_scaling": scaling], family: "phimoe").0.scaling?.longAttentionFactor == 1.3)
        #expect(
            checkpointError { _ = try read(["rope_scaling": yarn], family: "phimoe") }?.field
                == "field rope_scaling.short_mscale")
    }

    @Test func narrowerRotation() throws {
        let error = checkpointError { _ = try read(["rope_scaling": yarn, "partial_rotary_factor": 0.5]) }
        #expect(error?.field == "field partial_rotary_factor")
    }
}
