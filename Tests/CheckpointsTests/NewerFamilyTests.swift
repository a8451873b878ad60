import Checkpoints
import FileFormats
import Foundation
import RouterPolicies
import Tensors
import TestSupport
import Testing

/// Families of 2025 (`Tests/Fixtures/families/make.py`): what their configs say, and that every tensor is found.
@Suite struct NewerFamilyTests {
    private func open(_ name: String, _ changes: [String: Any] = [:]) throws -> Checkpoint {
        let original = Fixtures.folder.appending(path: "families/\(name)")
        guard !changes.isEmpty else { return try Checkpoint.open(original) }
        let folder = try TemporaryFolder()
        var config = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: original.appending(path: "config.json")))
                as? [String: Any])
        for (field, value) in changes { config[field] = value }
        try JSONSerialization.data(withJSONObject: config).write(to: folder.path("config.json"))
        try FileManager.default.createSymbolicLink(
            at: folder.path("model.safetensors"), withDestinationURL: original.appending(path: "model.safetensors"))
        return try Checkpoint.open(folder.url)
    }

    private func refusal(_ name: String, _ changes: [String: Any]) -> FileError? {
        do {
            _ = try open(name, changes)
            return nil
        } catch { return error as? FileError }
    }

    @Test(arguments: [
        "dots1", "dots1-groups", "glm4_moe", "ernie4_5_moe", "minimax_m2", "hunyuan_v1_moe", "granitemoeshared",
        "flex_olmo", "afmoe", "gpt_oss", "gpt_oss-mxfp4", "deepseek_v2", "deepseek_v3",
        "glm4_moe_lite", "mistral4", "deepseek", "bailing_moe",
    ])
    func everyTensorHasItsPlace(_ name: String) throws {
        let checkpoint = try open(name)
        #expect(checkpoint.notices.isEmpty)
        #expect(checkpoint.config.vocabularySize == 67)
    }

    /// `configuration_bailing_moe_v2.py`; Ling 1, which has the same `model_type`, lacks `use_qk_norm`.
    @Test func ling() throws {
        let checkpoint = try open("bailing_moe")
        let config = checkpoint.config
        #expect(config.layers.map(\.feedForward) == [.dense, .experts, .experts])
        #expect(config.router.select.groups == .init(count: 4, kept: 2, scoring: .sumOfTwoLargest))
        #expect(config.router.weigh == .init(normalizes: true, epsilon: 1e-20, scale: 2.5))
        #expect(config.attention.rotatedSize == 4)
        #expect(checkpoint.tensors.layers[1].key.shape == [16, 32])
        #expect(try open("bailing_moe", ["partial_rotary_factor": NSNull(), "rotary_dim": 4]).notices.isEmpty)
        #expect(refusal("bailing_moe", ["use_qk_norm": NSNull()])?.field == "field use_qk_norm")
        #expect(refusal("bailing_moe", ["use_qkv_bias": true])?.field == "field use_qkv_bias")
        #expect(refusal("bailing_moe", ["norm_head": true])?.field == "field norm_head")
    }

    @Test func dots() throws {
        let checkpoint = try open("dots1")
        let config = checkpoint.config
        #expect(config.layers.map(\.feedForward) == [.dense, .experts, .experts])
        #expect(config.router.score == .sigmoid && config.router.select.addsBias)
        #expect(config.router.select.groups == nil, "one group is no restriction")
        #expect(config.router.weigh == .init(normalizes: true, epsilon: 1e-20, scale: 2.5))
        #expect(config.experts.sharedSize == 24 && !config.experts.sharedIsGated)
        #expect(checkpoint.tensors.layers[1].experts?.selectionBias?.shape == [8])
        let groups = try open("dots1-groups").config
        #expect(groups.router.select.groups == .init(count: 4, kept: 2, scoring: .sumOfTwoLargest))
        #expect(groups.layers.map(\.attention) == [.full, .windowed(9)])
        #expect(groups.attention.hasOutputBias)
        #expect(!groups.router.weigh.normalizes)
    }

    /// `Dots1Config`: what is absent, and what cannot be.
    @Test func dotsRefusesWhatItsReferenceDoes() throws {
        #expect(refusal("dots1-groups", ["topk_group": 5])?.field?.contains("topk_group") == true)
        #expect(refusal("dots1-groups", ["n_group": 12])?.expected?.contains("two experts or more") == true)
        #expect(
            refusal("dots1", ["layer_types": Array(repeating: "sliding_attention", count: 3)])?.field
                == "field sliding_window")
        #expect(refusal("dots1", ["n_shared_experts": NSNull()])?.field == "field n_shared_experts")
        #expect(try open("dots1", ["scoring_func": "noaux_tc", "topk_method": "noaux_tc"]).notices.isEmpty)
        #expect(!(try open("dots1", ["scoring_func": "softmax"]).notices.isEmpty))
    }

    @Test func glm() throws {
        let config = try open("glm4_moe").config
        #expect(config.attention.rotatedSize == 8 && config.attention.headSize == 16)
        #expect(config.attention.queryKeyNorm == .perHead)
        #expect(config.attention.hasBias && !config.attention.hasOutputBias)
        #expect(config.layers.map(\.feedForward) == [.dense, .experts])
        #expect(
            refusal("glm4_moe", ["use_qk_norm": false]) == nil, "the norms are then left over, which a notice says")
        #expect(
            refusal("glm4_moe", ["rope_parameters": ["rope_type": "default", "partial_rotary_factor": 0.2]]) != nil)
    }

    @Test func ernie() throws {
        let config = try open("ernie4_5_moe").config
        #expect(config.attention.rotary.layout == .pairs)
        #expect(config.router.score == .softmax && config.router.select.addsBias)
        #expect(config.router.weigh == .init(normalizes: true, leastSum: 1e-12))
        #expect(config.tiesOutputToEmbedding)
        #expect(config.experts.sharedSize == 24)
        #expect(refusal("ernie4_5_moe", ["use_bias": true])?.reason == .unsupported)
    }

    @Test func miniMax() throws {
        let config = try open("minimax_m2").config
        #expect(config.attention.queryKeyNorm == .wholeProjection)
        #expect(config.attention.rotatedSize == 8)
        #expect(config.router.weigh == .init(normalizes: true))
        // Released files say it in another way.
        let older = try open("minimax_m2", ["rope_parameters": ["rope_type": "default"], "rotary_dim": 6]).config
        #expect(older.attention.rotatedSize == 6)
    }

    @Test func hunyuan() throws {
        let config = try open("hunyuan_v1_moe").config
        #expect(config.attention.normalizesAfterRotation)
        #expect(config.experts.sharedSize == 24)
        #expect(try open("hunyuan_v1_moe", ["moe_topk": [2, 2]]).config.expertsPerToken == 2)
        #expect(refusal("hunyuan_v1_moe", ["moe_topk": [2, 3]])?.field == "field moe_topk")
        let stretched = try open(
            "hunyuan_v1_moe",
            ["rope_parameters": ["type": "dynamic", "alpha": 1000, "factor": 1, "rope_theta": 10_000]])
        // 10,000 · 1,000^(8 / 6)
        #expect(abs(stretched.config.attention.rotary.theta / 1e8 - 1) < 1e-6)
        #expect(stretched.notices.isEmpty)
        #expect(refusal("hunyuan_v1_moe", ["rope_parameters": ["type": "dynamic", "factor": 2]]) != nil)
    }

    @Test func graniteShared() throws {
        let checkpoint = try open("granitemoeshared")
        #expect(checkpoint.config.experts.sharedSize == 20)
        #expect(checkpoint.tensors.layers[0].sharedExpert?.up.shape == [20, 32])
    }

    @Test func flexOlmo() throws {
        let checkpoint = try open("flex_olmo")
        #expect(checkpoint.config.norm.placement == .after)
        #expect(checkpoint.tensors.layers[0].attentionNorm == nil)
        #expect(checkpoint.tensors.layers[0][.feedForwardPostNorm]?.shape == [32])
        #expect(checkpoint.config.ggufArchitecture == nil)
    }

    @Test func afmoe() throws {
        let config = try open("afmoe").config
        #expect(config.norm.placement == .both && config.attention.gatesHeads)
        #expect(config.layers.map(\.attention) == [.windowed(9), .windowed(9), .windowed(9), .full])
        #expect(config.attention.rotary.skipsFullLayers)
        #expect(abs(config.multipliers.embedding - 5.656_854) < 1e-6, "√32")
        #expect(try open("afmoe", ["mup_enabled": false]).config.multipliers.embedding == 1)
    }

    @Test func gptOSS() throws {
        let checkpoint = try open("gpt_oss")
        let config = checkpoint.config
        #expect(config.layers.map(\.attention) == [.windowed(9), .full])
        #expect(config.attention.hasSinks && config.attention.hasBias && config.attention.hasOutputBias)
        #expect(config.experts.clamp == .init(alpha: 1.702, limit: 7))
        #expect(config.attention.rotary.scaling?.roundsRamp == false)
        #expect(checkpoint.tensors.layers[0][.attentionSinks]?.shape == [4])
        let experts = try #require(checkpoint.tensors.layers[1].experts)
        #expect(experts.up.map(\.shape) == Array(repeating: [24, 32], count: 8))
        #expect(experts.biases?.down.map(\.shape) == Array(repeating: [32], count: 8))
        // Gate and up in turn: row r of gate is column 2r of the file's first matrix, of up column 2r + 1.
        let file = try SafetensorsFile(Fixtures.folder.appending(path: "families/gpt_oss/model.safetensors"))
        let both = try #require(file["model.layers.1.mlp.experts.gate_up_proj"]).bytes.bindMemory(to: Float.self)
        // Repacked when they are needed.
        let memories = [experts.gate[2], experts.up[2]].compactMap(\.produced)
        #expect(memories.count == 2)
        for memory in memories { memory.hold() }
        defer { for memory in memories { memory.letGo() } }
        let (gate, up) = (experts.gate[2].bytes, experts.up[2].bytes)
        for (row, column) in [(0, 0), (3, 5), (23, 31)] {
            let place = 2 * 32 * 48 + column * 48 + 2 * row
            #expect(gate.loadUnaligned(fromByteOffset: 4 * (row * 32 + column), as: Float.self) == both[place])
            #expect(up.loadUnaligned(fromByteOffset: 4 * (row * 32 + column), as: Float.self) == both[place + 1])
        }
        #expect(refusal("gpt_oss", ["rope_parameters": NSNull()])?.field == "field rope_scaling")
        #expect(refusal("gpt_oss", ["quantization_config": ["quant_method": "gptq"]])?.reason == .unsupported)
    }

    /// The bits of `Fp8Dequantize`, of torch where blocks are cut short, and of every byte.
    @Test func scaledBlocksOfFP8() throws {
        let folder = Fixtures.folder.appending(path: "families/deepseek_v3-fp8")
        let reference = try SafetensorsFile(folder.appending(path: "dequantized.safetensors"))
        let bytes = try #require(reference["bytes"]).bytes.bindMemory(to: UInt32.self)
        for (byte, value) in E4M3.values.enumerated() where !value.isNaN {
            #expect(value.bitPattern == bytes[byte], "byte \(byte)")
        }
        #expect(E4M3.values[127].isNaN && E4M3.values[255].isNaN)
        let checkpoint = try open("deepseek_v3-fp8")
        let layer = checkpoint.tensors.layers[1]
        let experts = try #require(layer.experts)
        let pairs: [(Tensor?, String)] = [
            (layer[.latentDown], "self_attn.kv_a_proj_with_mqa"), (layer.attentionOutput, "self_attn.o_proj"),
            (experts.down[3], "mlp.experts.3.down_proj"),
        ]
        for (tensor, name) in pairs {
            let (mine, theirs) = (try #require(tensor), try #require(reference["model.layers.1.\(name).weight"]))
            #expect(mine.shape == theirs.shape && mine.dtype == .f32)
            #expect(mine.whileHeld { Array(mine.bytes) } == Array(theirs.bytes), "\(name)")
            #expect(mine.bytes.allSatisfy { $0 == 0 } || mine.bytes.count < 4096, "nothing is kept")
            #expect(mine.whileHeld { Array(mine.bytes) } == Array(theirs.bytes), "\(name), again")
        }
        #expect(checkpoint.unusedTensors.isEmpty)
        #expect(checkpoint.notices.count == 1 && checkpoint.notices[0].contains("FP8 in blocks of 16 × 16"))
        func config(_ changes: [String: Any]) -> [String: Any] {
            let usual: [String: Any] = [
                "quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16],
            ]
            return ["quantization_config": usual.merging(changes) { $1 }]
        }
        let section = "field quantization_config."
        #expect(
            refusal("deepseek_v3-fp8", config(["activation_scheme": "static"]))?.field == section + "activation_scheme")
        #expect(
            refusal("deepseek_v3-fp8", config(["weight_block_size": NSNull()]))?.field == section + "weight_block_size")
        #expect(refusal("deepseek_v3-fp8", config(["fmt": "e5m2"]))?.field == section + "fmt")
        #expect(
            refusal("deepseek_v3-fp8", config(["weight_block_size": [128, 128]]))?.field?.hasSuffix("weight_scale_inv")
                == true)
    }

    @Test func mxfp4() throws {
        let checkpoint = try open("gpt_oss-mxfp4")
        let experts = try #require(checkpoint.tensors.layers[0].experts)
        #expect(experts.gate[0].dtype == .mxfp4 && experts.down[3].dtype == .mxfp4)
        #expect(checkpoint.quantization == "MXFP4")
        #expect(refusal("mixtral-yarn", ["quantization_config": ["quant_method": "mxfp4"]])?.reason == .unsupported)
    }

    @Test func deepSeek() throws {
        let lite = try open("deepseek_v2")
        #expect(lite.config.attention.latent == .init(queryRank: nil, rank: 16, valueSize: 8))
        #expect(lite.config.attention.headSize == 16 && lite.config.attention.rotatedSize == 4)
        #expect(lite.config.router.select.groups == nil && !lite.config.router.weigh.normalizes)
        // 0.1 · 0.707 · ln 8 + 1, squared, over √16
        #expect(abs((lite.config.attention.scale ?? 0) - 0.328_911_7) < 1e-5)
        #expect(lite.tensors.layers[0][.latentUp]?.shape == [80, 16])
        #expect(lite.tensors.layers[0][.key] == nil)
        #expect(refusal("deepseek_v2", ["topk_method": "noaux_tc"])?.field == "field topk_method")
        #expect(refusal("deepseek_v2", ["attention_bias": true])?.reason == .unsupported)
        let third = try open("deepseek_v3").config
        #expect(third.attention.latent == .init(queryRank: 12, rank: 16, valueSize: 8))
        #expect(third.router.select.groups == .init(count: 4, kept: 2, scoring: .sumOfTwoLargest))
        #expect(try open("deepseek_v3", ["rope_interleave": false]).config.attention.rotary.layout == .halves)
    }

    /// `configuration_deepseek.py` of DeepSeekMoE-16B.
    @Test func deepSeekMoE() throws {
        let config = try open("deepseek").config
        #expect(config.layers.map(\.feedForward) == [.dense, .experts, .experts])
        #expect(config.attention.latent == nil && config.attention.keyValueHeadCount == 2)
        #expect(config.router.score == .softmax && !config.router.weigh.normalizes && config.experts.sharedSize == 24)
        #expect(try open("deepseek", ["norm_topk_prob": true]).config.router.weigh.normalizes)
        #expect(refusal("deepseek", ["moe_layer_freq": 2])?.field == "field moe_layer_freq")
    }

    /// `Glm4MoeLiteConfig`: a list says which layers are dense, and the first alone is where there is none.
    @Test func glmLite() throws {
        let config = try open("glm4_moe_lite").config
        #expect(config.layers.map(\.feedForward) == [.dense, .experts, .experts])
        #expect(config.attention.latent == .init(queryRank: 12, rank: 16, valueSize: 16))
        #expect(config.router.weigh == .init(normalizes: true, epsilon: 1e-20, scale: 1.8))
        #expect(try open("glm4_moe_lite", ["mlp_layer_types": NSNull()]).config.layers == config.layers)
        #expect(refusal("glm4_moe_lite", ["partial_rotary_factor": 0.5])?.field == "field partial_rotary_factor")
        #expect(try open("glm4_moe_lite", ["partial_rotary_factor": 1.0]).notices.isEmpty)
        #expect(refusal("glm4_moe_lite", ["mlp_layer_types": ["dense"]])?.field == "field mlp_layer_types")
    }

    @Test func mistral() throws {
        let config = try open("mistral4").config
        #expect(config.attention.queryGrowth == .init(beta: 0.5, period: 16))
        #expect(config.router.score == .softmax && !config.router.select.addsBias)
        #expect(config.router.select.groups == .init(count: 4, kept: 2, scoring: .sumOfTwoLargest))
        // (0.1 · ln 8 + 1)² / √16
        #expect(abs((config.attention.scale ?? 0) - 0.364_782_5) < 1e-5)
        let rope: [String: Any] = [
            "rope_type": "yarn", "factor": 8.0, "rope_theta": 1e4, "original_max_position_embeddings": 16,
        ]
        #expect(
            refusal("mistral4", ["rope_parameters": rope])?.field == "field rope_parameters.llama_4_scaling_beta")
        let other = rope.merging(["llama_4_scaling_beta": 0.1, "partial_rotary_factor": 0.5]) { $1 }
        #expect(
            refusal("mistral4", ["rope_parameters": other])?.field == "field rope_parameters.partial_rotary_factor")
        #expect(refusal("mistral4", ["rope_parameters": NSNull()])?.field == "field rope_scaling")
    }

    /// What is not read says what is nearest, and what is missing.
    @Test(arguments: [
        ("qwen3_next", "the nearest is qwen3_moe", "recurrent state"), ("lfm2_moe", "MoEScope", "recurrent state"),
        ("granitemoehybrid", "the nearest is granitemoeshared", "Mamba-2"), ("nemotron_h", "MoEScope", "Mamba"),
        ("mistral_large4_text", "the nearest is deepseek_v3", "sparse attention"),
        ("kimi_k25", "the nearest is deepseek_v3", "latent attention"),
        ("qwen3_5_moe", "the nearest is qwen3_moe", "recurrent state"),
        ("mixtral2", "the nearest is mixtral", "mixtral"),
    ])
    func unknownTypes(_ type: String, _ nearest: String, _ missing: String) {
        let hint = refusal("dots1", ["model_type": type])?.hint ?? ""
        #expect(hint.contains(nearest) && hint.contains(missing), "\(hint)")
    }
}
