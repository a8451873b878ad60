import Checkpoints
import Experiments
import Foundation
import MoEModel
import Quantization
import RoutingMetrics
import Tokenizers
import Tracing
import Traces

/// The sound inputs of each format: small fixtures, and what is made from them.
struct Seeds {
    /// `Tests/Fixtures`.
    let fixtures: URL
    /// Where what is made may lie for a moment.
    let scratch: URL

    func all(_ format: Format) throws -> [Seed] {
        switch format {
        case .safetensors:
            return try ["parity/wide-heads", "parity/long"].map {
                Seed($0, try files($0, ["config.json", "model.safetensors"]), targets: ["model.safetensors"])
            } + [
                try file("routing-trace/other/shards/000000.safetensors"), try file("hook-aliases/phimoe.safetensors"),
            ]
        case .gguf:
            return try [
                "gguf/merged.gguf", "gguf/values.gguf", "tokenizers/granite.gguf",
            ].map { try file($0) } + [try exported(Self.mixtral), try exported(Self.phi)]
        case .config:
            let names = ["families", "parity", "hub-folders"].flatMap { folder in
                (try? FileManager.default.contentsOfDirectory(atPath: fixtures.appending(path: folder).path))?.sorted()
                    .map { "\(folder)/\($0)" } ?? []
            }
            return try names.compactMap { name in
                let found = try files(name, ["config.json", "model.safetensors", "generation_config.json"])
                return found["config.json"] == nil ? nil : Seed(name, found, targets: ["config.json"])
            }
        case .index: return [try hub(Self.mixtral, targets: ["model.safetensors.index.json"])]
        case .tokenizerJSON:
            let single = ["granite", "llama3", "metaspace", "olmo", "prefixed", "prepend", "qwen"]
            return try single.map {
                Seed($0, ["tokenizer.json": try bytes("tokenizers/\($0).json")], targets: ["tokenizer.json"])
            }
                + [Self.mixtral, "Qwen3-30B-A3B", "granite-3.1-1b-a400m-instruct"].map { name in
                    var seed = try hub(name, targets: Self.tokenizerFiles)
                    seed.files = seed.files.filter { Self.tokenizerFiles.contains($0.key) }
                    return seed
                }
        case .tokenizerModel:
            return try ["identity", "suffix", "nfkc"].map {
                Seed($0, ["tokenizer.model": try bytes("sentencepiece/\($0).model")], targets: ["tokenizer.model"])
            }
                + [Self.mixtral, Self.phi].map { name in
                    let files = [
                        "tokenizer.model", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json",
                    ]
                    var seed = try hub(name, targets: files)
                    seed.files = seed.files.filter { files.contains($0.key) }
                    return seed
                }
        case .importance: return [Seed("small", ["m.gguf": try importance()], targets: ["m.gguf"])]
        case .corpus: return try corpora()
        case .manifest: return try traces(["manifest.json"])
        case .documents: return try traces(["documents.jsonl"])
        case .vocabulary: return try traces(["vocabulary.json"])
        case .shards: return try traces(["shards/000000.safetensors", "shards/000001.safetensors"])
        case .attention: return try traces(["attention/000000.safetensors"])
        case .experiment: return [try experiment()]
        }
    }

    static let mixtral = "Mixtral-8x22B-Instruct-v0.1"
    static let phi = "Phi-3.5-MoE-instruct"
    private static let tokenizerFiles = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "merges.txt",
    ]

    private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: fixtures.appending(path: path))) }

    private func file(_ path: String) throws -> Seed {
        let name = URL(filePath: path).lastPathComponent
        return Seed(path, [name: try bytes(path)], targets: [name])
    }

    private func files(_ folder: String, _ names: [String]) throws -> [String: [UInt8]] {
        names.reduce(into: [:]) { $0[$1] = try? bytes("\(folder)/\($1)") }
    }

    private func hub(_ name: String, targets: [String]) throws -> Seed {
        Seed(name, try Self.contents(fixtures.appending(path: "hub-folders/\(name)")), targets: targets)
    }

    /// Every file of a folder and its subfolders.
    static func contents(_ folder: URL) throws -> [String: [UInt8]] {
        try FileManager.default.subpathsOfDirectory(atPath: folder.path).reduce(into: [:]) { files, path in
            var isFolder: ObjCBool = false
            let url = folder.appending(path: path)
            guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), !isFolder.boolValue,
                !path.hasSuffix(".py"), !path.hasSuffix(".lock")
            else { return }
            files[path] = Array(try Data(contentsOf: url))
        }
    }

    /// A folder of the Hub as one GGUF file, tokenizer included.
    private func exported(_ name: String) throws -> Seed {
        let url = scratch.appending(path: "seed.gguf")
        let checkpoint = try Checkpoint.open(fixtures.appending(path: "hub-folders/\(name)"))
        try GGUFExport(whole: checkpoint, mix: .f32).write(to: url)
        defer { try? FileManager.default.removeItem(at: url) }
        return Seed("\(name).gguf", ["model.gguf": Array(try Data(contentsOf: url))], targets: ["model.gguf"])
    }

    private func importance() throws -> [UInt8] {
        let url = scratch.appending(path: "importance.gguf")
        let names = ["blk.0.attn_q.weight", "blk.0.ffn_gate_exps.weight", "blk.0.ffn_down_exps.weight"]
        let entry = ImportanceMatrix.Entry(sums: (0..<32).map { Float($0) }, counts: [3, 4])
        let entries = Dictionary(uniqueKeysWithValues: names.map { ($0, entry) })
        try ImportanceMatrix(entries: entries, datasets: ["a.txt"], chunkCount: 3, chunkSize: 512).write(to: url)
        defer { try? FileManager.default.removeItem(at: url) }
        return Array(try Data(contentsOf: url))
    }

    private func corpora() throws -> [Seed] {
        let lines = """
            {"id": "a", "group": "de", "text": "Der Rauch steigt auf.", "parallel_id": "smoke", "cluster": "fables"}
            {"id": 7, "group": "en", "tokens": [1, 4, 8], "parallel_id": "smoke"}
            {"group": "", "text": "x\\u00e9\\ud83d\\ude00\\n"}

            {"text": "no more"}

            """
        return [
            Seed("lines", ["c.jsonl": Array(lines.utf8)], targets: ["c.jsonl"]),
            Seed("gzip", ["c.jsonl": try bytes("hostile/seeds/corpus.jsonl.gz")], targets: ["c.jsonl"]),
            Seed(
                "folder", ["c/de/a.txt": Array("Der Rauch".utf8), "c/en/b.txt": Array("smoke".utf8)],
                targets: ["c/de/a.txt"]),
        ]
    }

    private func traces(_ targets: [String]) throws -> [Seed] {
        // The report's trace is large, and the only one with attention.
        let names = targets[0].hasPrefix("attention") ? ["report/trace"] : ["routing-trace"]
        return try (names + (targets[0] == "manifest.json" ? ["report/trace"] : [])).map { name in
            var files = try Self.contents(fixtures.appending(path: name))
            files = files.filter { !$0.key.hasPrefix("other/") && !$0.key.hasPrefix("reference") }
            return Seed(name, files, targets: targets)
        }.filter { !$0.targets.isEmpty }
    }

    /// A finished experiment on a small model, with the trace that it stands beside.
    private func experiment() throws -> Seed {
        let folder = scratch.appending(path: "experiment")
        defer { try? FileManager.default.removeItem(at: folder) }
        let run = try Reading.experimentRun(fixtures)
        let result = try Reading.result(run, into: folder, resume: false)
        try result.write(to: folder)
        return Seed("ablation", try Self.contents(folder), targets: ["plan.json", "nll.jsonl", "result.json"])
    }
}
