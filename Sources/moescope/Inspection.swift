import Checkpoints
import Foundation
import Tensors
import Tokenizers

/// Everything `moescope inspect` says of a checkpoint. Its JSON (snake case) is an interface: fields are added, not changed.
struct Inspection: Encodable {
    struct File: Encodable {
        let name: String
        let bytes: Int
    }
    struct Share: Encodable {
        let dtype: String
        let tensors: Int
        let parameters: Int
        let bytes: Int
    }
    struct TokenizerFacts: Encodable {
        let file: String
        let kind: String
        let vocabularySize: Int
        let bos: Int32?
        let bosPiece: String?
        let eos: Int32?
        let eosPiece: String?
        let sha256: String
    }

    let name: String
    let path: String
    let config: ModelConfig
    let parametersTotal: Int
    let parametersActive: Int
    let weightBytes: Int
    let types: [Share]
    let files: [File]
    let tokenizer: TokenizerFacts?
    /// What looks wrong or unusual, in sentences; the model may run all the same.
    let remarks: [String]

    init(_ checkpoint: Checkpoint) {
        name = checkpoint.name
        path = checkpoint.url.path
        config = checkpoint.config
        parametersTotal = checkpoint.parametersTotal
        parametersActive = checkpoint.parametersActive
        weightBytes = checkpoint.weightBytes
        types = checkpoint.dtypes.map {
            Share(dtype: $0.dtype.rawValue, tensors: $0.tensors, parameters: $0.parameters, bytes: $0.bytes)
        }
        files = checkpoint.files.map {
            let size = try? FileManager.default.attributesOfItem(atPath: $0.path)[.size] as? Int
            return File(name: $0.lastPathComponent, bytes: size ?? 0)
        }
        var remarks: [String] = []
        tokenizer = Self.tokenizer(of: checkpoint, remarks: &remarks)
        if !checkpoint.unusedTensors.isEmpty {
            let first = checkpoint.unusedTensors.prefix(3).joined(separator: ", ")
            remarks.append("\(checkpoint.unusedTensors.count) tensors are in the files but not in the model: \(first)…")
        }
        self.remarks = remarks
    }

    private static func tokenizer(of checkpoint: Checkpoint, remarks: inout [String]) -> TokenizerFacts? {
        guard let url = checkpoint.tokenizerFile else {
            remarks.append("There is no tokenizer: corpora must give token ids.")
            return nil
        }
        do throws(TokenizerError) {
            let tokenizer = try TokenizerFile.open(url)
            if tokenizer.vocabularySize != checkpoint.config.vocabularySize {
                remarks.append(
                    "The tokenizer has \(tokenizer.vocabularySize) pieces, the model \(checkpoint.config.vocabularySize)."
                )
            }
            return TokenizerFacts(
                file: url.lastPathComponent, kind: tokenizer.kind, vocabularySize: tokenizer.vocabularySize,
                bos: tokenizer.bos, bosPiece: tokenizer.bos.flatMap(tokenizer.piece), eos: tokenizer.eos,
                eosPiece: tokenizer.eos.flatMap(tokenizer.piece), sha256: tokenizer.sha256)
        } catch {
            remarks.append("The tokenizer cannot be read: \(error)")
            return nil
        }
    }
}

extension Inspection {
    /// The same, for people.
    var screen: String {
        var rows: [(label: String, text: String)] = [
            ("Architecture", config.architecture),
            ("Parameters", "\(Self.count(parametersTotal)) in all, \(Self.count(parametersActive)) active per token"),
            ("Layers", "\(config.layerCount), hidden size \(Self.grouped(config.hiddenSize))"),
            (
                "Experts",
                "\(config.expertCount) per layer, \(Self.grouped(config.expertSize)) wide; \(routing)"
            ),
            ("Attention", attention),
            ("Context", context),
            ("Vocabulary", Self.grouped(config.vocabularySize) + (config.tiesOutputToEmbedding ? ", output tied" : "")),
            ("Stored as", stored),
        ]
        for (index, file) in files.prefix(6).enumerated() {
            rows.append((index == 0 ? "Files" : "", "\(file.name)  \(Self.bytes(file.bytes))"))
        }
        if files.count > 6 { rows.append(("", "and \(files.count - 6) more")) }
        rows.append(("Tokenizer", tokenizerLine))
        for (index, remark) in remarks.enumerated() { rows.append((index == 0 ? "Remarks" : "", remark)) }
        let lines = rows.map { row in
            "  \(row.label)\(String(repeating: " ", count: max(0, 14 - row.label.count)))\(row.text)"
        }
        return "\(name)  (\(path))\n\n" + lines.joined(separator: "\n")
    }

    private var routing: String {
        let choice =
            switch config.routerScoring {
            case .softmaxThenTopK: "top \(config.expertsPerToken) of softmax"
            case .topKThenSoftmax: "softmax over the top \(config.expertsPerToken)"
            case .sparseMixer: "top \(config.expertsPerToken) by SparseMixer"
            }
        let shared = config.sharedExpertSize.map { ", and a shared one \(Self.grouped($0)) wide" } ?? ""
        let renormalized =
            config.routerScoring == .softmaxThenTopK
            ? (config.renormalizesExpertWeights ? ", renormalized" : ", not renormalized") : ""
        return choice + renormalized + shared
    }

    private var attention: String {
        let heads = "\(config.headCount) query heads, \(config.keyValueHeadCount) key/value heads of \(config.headSize)"
        switch config.queryKeyNorm {
        case .perHead: return heads + ", normalized per head"
        case .wholeProjection: return heads + ", normalized"
        case nil: return heads
        }
    }

    private var context: String {
        var text = "\(Self.grouped(config.contextLength)) tokens, rotary base \(Self.grouped(Int(config.ropeTheta)))"
        if let scaling = config.ropeScaling { text += ", \(scaling.kind.rawValue) scaling × \(scaling.factor)" }
        if let window = config.slidingWindow { text += ", window \(Self.grouped(window))" }
        return text
    }

    private var stored: String {
        let mix = types.map { "\($0.dtype) \(Self.percent($0.parameters, of: parametersTotal))" }
        return "\(types.count == 1 ? types[0].dtype : mix.joined(separator: ", ")), \(Self.bytes(weightBytes))"
    }

    private var tokenizerLine: String {
        guard let tokenizer else { return "none" }
        func token(_ name: String, _ id: Int32?, _ piece: String?) -> String {
            id.map { ", \(name) \($0) \(piece ?? "")" } ?? ""
        }
        return "\(tokenizer.file), \(tokenizer.kind), \(Self.grouped(tokenizer.vocabularySize)) pieces"
            + token("BOS", tokenizer.bos, tokenizer.bosPiece) + token("EOS", tokenizer.eos, tokenizer.eosPiece)
    }

    /// 46.7 B, 17.2 M, 950.
    static func count(_ value: Int) -> String {
        switch value {
        case 1_000_000_000...: String(format: "%.1f B", Double(value) / 1e9)
        case 1_000_000...: String(format: "%.1f M", Double(value) / 1e6)
        default: grouped(value)
        }
    }

    /// Binary units, as memory is sold.
    static func bytes(_ value: Int) -> String {
        switch value {
        case (1 << 30)...: String(format: "%.2f GiB", Double(value) / Double(1 << 30))
        case (1 << 20)...: String(format: "%.1f MiB", Double(value) / Double(1 << 20))
        case (1 << 10)...: String(format: "%.1f KiB", Double(value) / Double(1 << 10))
        default: "\(value) B"
        }
    }

    static func percent(_ part: Int, of whole: Int) -> String {
        String(format: "%.1f %%", 100 * Double(part) / Double(max(1, whole)))
    }

    /// Thousands separated by commas.
    static func grouped(_ value: Int) -> String {
        var digits = Array(String(value))
        var index = digits.count - 3
        while index > 0, digits[index - 1] != "-" {
            digits.insert(",", at: index)
            index -= 3
        }
        return String(digits)
    }
}
