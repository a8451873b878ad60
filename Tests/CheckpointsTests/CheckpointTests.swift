import Checkpoints
import FileFormats
import Foundation
import Tensors
import Testing

@Suite struct CheckpointTests {
    @Test func opensAFolder() throws {
        let folder = try TemporaryFolder()
        try TinyMixtral().write(to: folder.url)
        let checkpoint = try Checkpoint.open(folder.url)
        let config = checkpoint.config
        #expect(config.architecture == "mixtral")
        #expect(config.attention.headSize == 4)
        #expect(config.attention.keyValueHeadCount == 2)
        #expect(config.attention.rotary.theta == 10000)
        #expect(config.router.weigh.normalizes)
        #expect(config.bosToken == 1)
        #expect(config.slidingWindow == nil)
        #expect(checkpoint.tensors.layers.count == 2)
        #expect(checkpoint.tensors.layers[1].experts?.gate.count == 3)
        // Numbered by TinyMixtral: the tensor found is the tensor meant.
        let model = TinyMixtral()
        let index = try #require(
            model.tensors.firstIndex { $0.name.hasSuffix("layers.1.block_sparse_moe.experts.2.w2.weight") })
        #expect(checkpoint.tensors.layers[1].experts?.down[2].floats.first == Float(index * 1000))
        #expect(checkpoint.tensors.layers[1].experts?.down[2].shape == [8, 6])
        #expect(checkpoint.unusedTensors.isEmpty)
        #expect(checkpoint.name == folder.url.lastPathComponent)
        #expect(checkpoint.tokenizerFile == nil)
    }

    @Test func countsParameters() throws {
        let folder = try TemporaryFolder()
        try TinyMixtral().write(to: folder.url)
        let checkpoint = try Checkpoint.open(folder.url)
        let attention = 8 + 8 + 16 * 8 + 2 * 8 * 8 + 8 * 16 + 3 * 8
        let expert = 3 * 6 * 8
        #expect(checkpoint.parametersTotal == 2 * 11 * 8 + 8 + 2 * (attention + 3 * expert))
        #expect(checkpoint.parametersActive == 2 * 11 * 8 + 8 + 2 * (attention + 2 * expert))
        #expect(checkpoint.dtypes.map(\.dtype) == [.f32])
        #expect(checkpoint.dtypes[0].bytes == checkpoint.parametersTotal * 4)
        #expect(checkpoint.quantization == "F32")
    }

    @Test func readsShards() throws {
        let folder = try TemporaryFolder()
        let model = TinyMixtral()
        try model.writeConfig(to: folder.url)
        let half = model.tensors.count / 2
        let ranges = [
            "model-00001-of-00002.safetensors": 0..<half,
            "model-00002-of-00002.safetensors": half..<model.tensors.count,
        ]
        var map: [String] = []
        for (file, range) in ranges {
            try SafetensorsFile.write(model.entries(range), to: folder.path(file))
            map += range.map { "\"\(model.tensors[$0].name)\": \"\(file)\"" }
        }
        let index = folder.path("model.safetensors.index.json")
        try "{\"metadata\": {}, \"weight_map\": {\(map.joined(separator: ","))}}"
            .write(to: index, atomically: true, encoding: .utf8)
        let checkpoint = try Checkpoint.open(folder.url)
        #expect(checkpoint.files.map(\.lastPathComponent) == ranges.keys.sorted())
        #expect(checkpoint.tensors.output.floats.first == 2000)

        try FileManager.default.removeItem(at: folder.path("model-00002-of-00002.safetensors"))
        let absent = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(absent?.reason == .missing)
        #expect(absent?.file.hasSuffix("model-00002-of-00002.safetensors") == true)

        try "{\"weight_map\": {\"x\": \"../secret\"}}".write(to: index, atomically: true, encoding: .utf8)
        #expect(checkpointError { _ = try Checkpoint.open(folder.url) }?.field == "field weight_map.x")
    }

    @Test func readsFusedExperts() throws {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        model.tensors.removeAll { $0.name.contains("block_sparse_moe") }
        for layer in 0..<2 {
            let prefix = "model.layers.\(layer).mlp."
            model.tensors += [
                (prefix + "gate.weight", [3, 8]), (prefix + "experts.gate_up_proj", [3, 12, 8]),
                (prefix + "experts.down_proj", [3, 8, 6]),
            ]
        }
        try model.write(to: folder.url)
        let checkpoint = try Checkpoint.open(folder.url)
        let layer = try #require(checkpoint.tensors.layers[0].experts)
        let first = try #require(model.tensors.firstIndex { $0.name == "model.layers.0.mlp.experts.gate_up_proj" })
        let start = Float(first * 1000)
        #expect(layer.gate[2].shape == [6, 8])
        #expect(layer.gate[2].floats.first == start + 2 * 96)
        #expect(layer.up[2].floats.first == start + 2 * 96 + 48)
        #expect(layer.down[1].floats.first == start + 1000 + 48)
    }

    @Test func tiedOutputCountsOnce() throws {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        model.config["tie_word_embeddings"] = "true"
        let untied = model.tensors.count
        model.tensors.removeAll { $0.name == "lm_head.weight" }
        #expect(model.tensors.count == untied - 1)
        try model.write(to: folder.url)
        let checkpoint = try Checkpoint.open(folder.url)
        #expect(checkpoint.tensors.output.bytes.baseAddress == checkpoint.tensors.embedding.bytes.baseAddress)
        #expect(checkpoint.parametersTotal == model.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) })
    }

    @Test func hashIsThatOfTheFile() throws {
        let folder = try TemporaryFolder()
        try TinyMixtral().writeConfig(to: folder.url)
        let written = try SafetensorsFile.write(TinyMixtral().entries(), to: folder.path("model.safetensors"))
        let checkpoint = try Checkpoint.open(folder.url)
        #expect(try checkpoint.sha256() == written.sha256)
        #expect(try checkpoint.sha256() == written.sha256)
    }

    @Test func extraTensorsAreNamed() throws {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        model.tensors.append(("model.extra", [3]))
        try model.write(to: folder.url)
        #expect(try Checkpoint.open(folder.url).unusedTensors == ["model.extra"])
    }
}

@Suite struct BrokenCheckpointTests {
    private func error(_ change: (inout TinyMixtral) -> Void) throws -> FileError? {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        change(&model)
        try model.write(to: folder.url)
        return checkpointError { _ = try Checkpoint.open(folder.url) }
    }

    @Test func missingTensor() throws {
        let found = try error { $0.tensors.removeAll { $0.name == "model.layers.1.self_attn.k_proj.weight" } }
        #expect(found?.reason == .missing)
        #expect(found?.field == "tensor model.layers.1.self_attn.k_proj.weight")
        #expect(found?.expected == "shape [8, 8]")
        #expect(found?.file.hasSuffix("model.safetensors") == true)
        #expect(found?.description.contains("\n") == false)
    }

    @Test func wrongShape() throws {
        let found = try error { $0.reshape("model.layers.0.block_sparse_moe.experts.1.w1.weight", to: [8, 6]) }
        #expect(found?.reason == .mismatch)
        #expect(found?.field == "tensor model.layers.0.block_sparse_moe.experts.1.w1.weight")
        #expect(found?.expected == "shape [6, 8]")
        #expect(found?.found == "F32 [8, 6]")
    }

    @Test func integerWeights() throws {
        let folder = try TemporaryFolder()
        let model = TinyMixtral()
        try model.writeConfig(to: folder.url)
        var entries = model.entries()
        entries[1] = .init(name: "model.norm.weight", dtype: .i32, shape: [8], values: [Int32](repeating: 1, count: 8))
        try SafetensorsFile.write(entries, to: folder.path("model.safetensors"))
        let found = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(found?.reason == .unsupported)
        #expect(found?.field == "tensor model.norm.weight")
        #expect(found?.found == "I32")
    }

    @Test(arguments: [
        "model_type", "hidden_size", "num_local_experts", "vocab_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size",
    ])
    func missingField(_ field: String) throws {
        let found = try error { $0.config[field] = nil }
        #expect(found?.reason == .missing)
        #expect(found?.field == "field \(field)")
        #expect(found?.file.hasSuffix("config.json") == true)
    }

    @Test(arguments: [
        ("num_local_experts", "\"eight\""), ("num_local_experts", "-1"), ("num_local_experts", "2.5"),
        ("num_local_experts", "99999999999999999999"), ("num_experts_per_tok", "4"), ("num_key_value_heads", "3"),
        ("head_dim", "3"), ("vocab_size", "0"), ("bos_token_id", "11"), ("rms_norm_eps", "\"x\""),
        ("rope_theta", "0"), ("tie_word_embeddings", "1"), ("rope_scaling", "7"), ("num_hidden_layers", "2000000"),
    ])
    func wrongField(_ field: String, _ value: String) throws {
        let found = try error { $0.config[field] = value }
        #expect(found?.reason == .mismatch)
        #expect(found?.field == "field \(field)")
    }

    @Test func unknownArchitectureNamesTheKnown() throws {
        let found = try error { $0.config["model_type"] = "\"llama\"" }
        #expect(found?.reason == .unsupported)
        #expect(found?.expected?.contains("mixtral") == true)
        #expect(found?.found == "\"llama\"")
    }

    @Test func configThatIsNoJSON() throws {
        let folder = try TemporaryFolder()
        try TinyMixtral().write(to: folder.url)
        try "{\"model_type\": ".write(to: folder.path("config.json"), atomically: true, encoding: .utf8)
        let found = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(found?.reason == .malformed)
        #expect(found?.problem?.contains("byte 15") == true)
    }

    @Test func absentFiles() throws {
        let folder = try TemporaryFolder()
        let nowhere = checkpointError { _ = try Checkpoint.open(folder.path("nowhere")) }
        #expect(nowhere?.reason == .missing)
        let noConfig = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(noConfig?.file.hasSuffix("config.json") == true)
        try TinyMixtral().writeConfig(to: folder.url)
        let noWeights = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(noWeights?.expected == "model.safetensors or model.safetensors.index.json")
        try Data().write(to: folder.path("pytorch_model.bin"))
        #expect(checkpointError { _ = try Checkpoint.open(folder.url) }?.hint?.contains("pickled") == true)
    }
}

@Suite struct RopeConfigTests {
    private func config(_ change: (inout TinyMixtral) -> Void) throws -> ModelConfig {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        change(&model)
        try model.write(to: folder.url)
        return try Checkpoint.open(folder.url).config
    }

    @Test func thetaInRopeParameters() throws {
        let config = try config {
            $0.config["rope_theta"] = nil
            $0.config["rope_parameters"] = "{\"rope_theta\": 500000.0, \"rope_type\": \"default\"}"
        }
        #expect(config.attention.rotary.theta == 500000)
        #expect(config.attention.rotary.scaling == nil)
    }

    @Test func thetaDefaults() throws {
        #expect(try config { $0.config["rope_theta"] = nil }.attention.rotary.theta == 1e6)
    }

    @Test func yarn() throws {
        let config = try config {
            $0.config["rope_scaling"] =
                "{\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 16}"
        }
        let scaling = try #require(config.attention.rotary.scaling)
        #expect(scaling.kind == .yarn)
        #expect(scaling.factor == 4)
        #expect(scaling.originalContext == 16)
        #expect(abs(scaling.attentionFactor - 1.1386294) < 1e-6)  // 0.1 · ln 4 + 1
    }

    @Test func unknownScaling() throws {
        let folder = try TemporaryFolder()
        var model = TinyMixtral()
        model.config["rope_scaling"] = "{\"rope_type\": \"dynamic\", \"factor\": 2.0}"
        try model.write(to: folder.url)
        let found = checkpointError { _ = try Checkpoint.open(folder.url) }
        #expect(found?.field == "field rope_scaling.rope_type")
    }
}

@Suite struct ModelLocatorTests {
    @Test func pathsStayPaths() throws {
        #expect(try ModelLocator.resolve("/a/b", environment: [:]).path == "/a/b")
    }

    @Test func environmentGoesFirst() throws {
        let folder = try TemporaryFolder()
        let model = folder.path("polyglot")
        try FileManager.default.createDirectory(at: model, withIntermediateDirectories: true)
        try TinyMixtral().writeConfig(to: model)
        let found = try ModelLocator.resolve(
            "polyglot", environment: ["MOESCOPE_MODELS": "/nowhere:\(folder.url.path)"])
        #expect(found.standardizedFileURL.path == model.standardizedFileURL.path)
    }
}
