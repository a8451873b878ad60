import Foundation
import TestSupport
import Testing

struct MemoryCommandTests {
    private func reports(_ arguments: String...) throws -> [[String: Any]] {
        let result = try Moescope.run(arguments: ["memory"] + arguments + ["--json"])
        #expect(result.status == 0, "\(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
    }

    private func row(_ report: [String: Any], _ type: String) throws -> [String: Any] {
        try #require((report["types"] as? [[String: Any]])?.first { $0["type"] as? String == type })
    }

    private func cell(_ row: [String: Any], _ context: Int) throws -> [String: Any] {
        try #require((row["contexts"] as? [[String: Any]])?.first { $0["context"] as? Int == context })
    }

    /// Published: 46.7 billion parameters, 12.9 active (arXiv 2401.04088); file sizes as the card cites them.
    @Test func mixtralIsAsPublished() throws {
        let report = try reports("mixtral-8x7b", "--fits", "24G")[0]
        #expect(report["parameters_total"] as? Int == 46_702_792_704)
        #expect(report["parameters_active"] as? Int == 12_879_925_248)
        let full = try row(report, "Q8_0")
        let weights = try #require(full["weight_bytes"] as? Int)
        #expect(abs(Double(weights) / 0x1p30 - 46.22) < 0.005)
        let longest = try cell(full, 32_768)
        #expect(longest["cache_bytes"] as? Int == 4 << 30)
        let working = try #require(longest["working_bytes"] as? Int)
        #expect(longest["total_bytes"] as? Int == weights + 4 << 30 + working)
        #expect(longest["fits"] as? Bool == false)
        #expect(try cell(try row(report, "Q3_K_M"), 1024)["fits"] as? Bool == true)
        for row in try #require(report["types"] as? [[String: Any]]) {
            // Today's mixes are the card's first source.
            guard let file = (row["published_files"] as? [[String: Any]])?.first,
                let published = file["gigabytes"] as? Double, let bytes = row["weight_bytes"] as? Int
            else { continue }
            #expect(abs(Double(bytes) / 1e9 - published) <= 0.05, "\(row["type"] ?? "")")
        }
    }

    @Test func theLargeOneToo() throws {
        let report = try reports("mixtral-8x22b", "--cache", "q8_0", "--batch", "4", "--contexts", "65536")[0]
        #expect(report["parameters_total"] as? Int == 140_620_634_112)
        #expect(report["parameters_active"] as? Int == 39_152_031_744)
        for (type, gigabytes) in [("Q5_K_M", 99.96), ("Q4_K_M", 85.58), ("Q3_K_M", 67.78), ("Q2_K", 52.10)] {
            let bytes = try #require(try row(report, type)["weight_bytes"] as? Int)
            #expect(abs(Double(bytes) / 1e9 - gigabytes) < 0.02, "\(type)")
        }
        // 56 layers, keys and values of 8 heads of 128 in blocks of 34 bytes for 32.
        let cache = try cell(try row(report, "Q4_K_M"), 65_536)["cache_bytes"] as? Int
        #expect(cache == 4 * 65_536 * 56 * 2 * 8 * 136)
    }

    @Test func theScreenSaysWhatFits() throws {
        let some = try Moescope.run("memory", "mixtral-8x7b", "--fits", "24G")
        #expect(some.output.contains("✓ fits 24.00 GiB. The most precise that does: Q3_K_M"))
        #expect(some.output.contains("TheBloke/Mixtral-8x7B-v0.1-GGUF"))
        let none = try Moescope.run("memory", "mixtral-8x7b", "--fits", "8G")
        #expect(none.output.contains("Nothing fits 8.00 GiB.") && none.output.contains("--memory 8G"))
        #expect(!none.output.contains("✓"))
        let hopeless = try Moescope.run("memory", "mixtral-8x22b", "--fits", "100M")
        #expect(hopeless.output.contains("takes at least"))
    }

    /// A config alone gives what the model's own files give.
    @Test func aConfigIsEnough() throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let polyglot = Fixtures.repository.appending(path: "Models/polyglot")
        let config = folder.appending(path: "config.json")
        try FileManager.default.copyItem(at: polyglot.appending(path: "config.json"), to: config)
        let whole = try reports(polyglot.path, "--contexts", "2048")[0]
        let both = try reports(folder.path, config.path, "--contexts", "2048")
        for report in both {
            #expect(try row(report, "Q4_K_M")["weight_bytes"] as? Int == row(whole, "Q4_K_M")["weight_bytes"] as? Int)
        }
        #expect(try row(whole, "stored")["weight_bytes"] as? Int == 2 * 16_399_616)
        let text = try String(contentsOf: config, encoding: .utf8)
        for field in ["hidden_size", "intermediate_size", "num_local_experts", "head_dim"] {
            let pattern = try Regex("\"\(field)\": [0-9]+")
            try Data(text.replacing(pattern, with: "\"\(field)\": 2147483648").utf8).write(to: config)
            let absurd = try Moescope.run("memory", config.path, "--batch", "4096")
            #expect(absurd.status == 1 && absurd.errorLines.count == 1, "\(field): \(absurd.errors)")
            #expect(absurd.errors.contains("config.json"), "\(field): \(absurd.errors)")
        }
    }

    /// What the table says of polyglot, and what the process then takes.
    @Test(arguments: [("512", "2048", "f16"), ("1024", "1024", "q8_0"), ("2048", "2048", "f32")])
    func polyglotIsPredicted(rows: String, context: String, cache: String) throws {
        let report = try reports(
            "polyglot", "--measure", "--rows", rows, "--contexts", context, "--cache", cache)[0]
        let measured = try #require(report["measured"] as? [String: Any])
        #expect(abs(try #require(measured["difference"] as? Double)) < 0.03, "\(measured)")
    }

    /// A layer of Mixtral's proportions, a quarter as wide. Its matrices are zeros in a sparse file, which take memory as
    /// others do.
    @Test func aRealShapeIsPredicted() throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        try SparseMixtral(hidden: 1024, width: 3584, vocabulary: 4096).write(to: folder)
        let report = try reports(folder.path, "--measure", "--rows", "512", "--contexts", "1024")[0]
        let measured = try #require(report["measured"] as? [String: Any])
        #expect(abs(try #require(measured["difference"] as? Double)) < 0.03, "\(measured)")
    }

    @Test(arguments: [
        (["--fits", "none"], "--fits"), (["--batch", "0"], "--batch"), (["--rows", "0"], "--rows"),
        (["--contexts", "40000"], "32768"), (["--contexts", "x"], "--contexts"),
        (["--contexts", "1-9000000"], "100,000"),
        (["--threads", "4000"], "--threads"), (["--measure"], "no weights"), (["--cache", "q9"], "--cache"),
    ])
    func badOptions(options: [String], word: String) throws {
        let result = try Moescope.run(arguments: ["memory", "mixtral-8x7b"] + options)
        #expect(result.status != 0 && result.errorLines.count == 1, "\(result.errors)")
        #expect(result.errors.contains(word), "\(result.errors)")
    }

    @Test func cardsHaveNoWeightsToRun() throws {
        let result = try Moescope.run("trace", "mixtral-8x7b", "--corpus", "-", "--output", "nowhere")
        #expect(result.status != 0 && result.errors.contains("card without weights"), "\(result.errors)")
    }
}

/// A one-layer Mixtral of eight experts in bf16. Embedding, norms and router are filled, so that tokens go to all experts;
/// the rest is zero and takes no room on disk.
struct SparseMixtral {
    let hidden: Int
    let width: Int
    let vocabulary: Int

    private var tensors: [(name: String, shape: [Int])] {
        let layer = "model.layers.0."
        var list = [
            ("model.embed_tokens.weight", [vocabulary, hidden]), ("model.norm.weight", [hidden]),
            ("lm_head.weight", [vocabulary, hidden]), (layer + "input_layernorm.weight", [hidden]),
            (layer + "post_attention_layernorm.weight", [hidden]),
            (layer + "self_attn.q_proj.weight", [hidden, hidden]),
            (layer + "self_attn.k_proj.weight", [hidden / 4, hidden]),
            (layer + "self_attn.v_proj.weight", [hidden / 4, hidden]),
            (layer + "self_attn.o_proj.weight", [hidden, hidden]),
            (layer + "block_sparse_moe.gate.weight", [8, hidden]),
        ]
        for expert in 0..<8 {
            let name = layer + "block_sparse_moe.experts.\(expert)."
            list += [
                (name + "w1.weight", [width, hidden]), (name + "w2.weight", [hidden, width]),
                (name + "w3.weight", [width, hidden]),
            ]
        }
        return list
    }

    func write(to folder: URL) throws {
        let config = """
            {"model_type": "mixtral", "vocab_size": \(vocabulary), "hidden_size": \(hidden), "intermediate_size": \(width),
            "num_hidden_layers": 1, "num_attention_heads": \(hidden / 128), "num_key_value_heads": \(hidden / 512),
            "num_local_experts": 8, "num_experts_per_tok": 2, "max_position_embeddings": 4096, "rope_theta": 1e6}
            """
        try Data(config.utf8).write(to: folder.appending(path: "config.json"))
        var offset = 0
        let entries = tensors.map { name, shape in
            let start = offset
            offset += 2 * shape.reduce(1, *)
            return "\"\(name)\": {\"dtype\": \"BF16\", \"shape\": \(shape), \"data_offsets\": [\(start), \(offset)]}"
        }
        var header = Data(("{" + entries.joined(separator: ", ") + "}").utf8)
        header.append(Data(repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8))
        var file = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) }
        file.append(header)
        let url = folder.appending(path: "model.safetensors")
        try file.write(to: url)
        let handle = try FileHandle(forWritingTo: url)
        try handle.truncate(atOffset: UInt64(file.count + offset))
        var place = file.count
        for (name, shape) in tensors {
            let count = shape.reduce(1, *)
            if name.contains("embed") || name.contains("norm") || name.contains("gate") {
                try handle.seek(toOffset: UInt64(place))
                try handle.write(contentsOf: Self.values(count, isNorm: name.contains("norm")))
            }
            place += 2 * count
        }
        try handle.close()
    }

    /// Ones, or numbers between −1 and 1 from a fixed seed, as bf16.
    private static func values(_ count: Int, isNorm: Bool) -> Data {
        var state: UInt64 = 7
        let values = (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let value: Float = isNorm ? 1 : Float(state >> 40) / 0x1p23 - 1
            return UInt16(value.bitPattern >> 16).littleEndian
        }
        return values.withUnsafeBytes { Data($0) }
    }
}
