import Foundation
import ReportGenerator

extension Inspection {
    /// The same, for people.
    var screen: String {
        var rows: [(label: String, text: String)] = [
            (
                "Architecture",
                "\(config.architecture), \(config.layerCount) \(config.layerCount == 1 ? "layer" : "layers"), hidden size \(Prose.count(config.hiddenSize))"
            ),
            ("Parameters", "\(Self.count(parametersTotal)) in all, \(Self.count(parametersActive)) active per token"),
            ("Experts", "\(config.experts.count) per layer, \(Prose.count(config.experts.size)) wide; \(routing)"),
            ("Attention", attention),
            ("Context", context),
            (
                "Vocabulary",
                Prose.count(config.vocabularySize) + " tokens, output "
                    + (config.tiesOutputToEmbedding ? "tied to the embedding" : "a matrix of its own")
            ),
        ]
        for (index, line) in quantizationLines.enumerated() { rows.append((index == 0 ? "Stored as" : "", line)) }
        for (index, file) in files.prefix(4).enumerated() {
            rows.append((index == 0 ? "Files" : "", "\(file.name)  \(Self.bytes(file.bytes))"))
        }
        if files.count > 4 {
            let rest = files.dropFirst(4)
            rows.append(("", "and \(rest.count) more  \(Self.bytes(rest.reduce(0) { $0 + $1.bytes }))"))
        }
        rows.append(("Tokenizer", tokenizerLine))
        rows.append(("Chat template", templateLine))
        rows.append(("License", license ?? "not said"))
        if let source { rows.append(("Source", source)) }
        for (index, remark) in remarks.enumerated() { rows.append((index == 0 ? "Looks wrong" : "", remark)) }
        let lines = rows.map { row in
            "  \(row.label)\(String(repeating: " ", count: max(0, 15 - row.label.count)))\(row.text)"
        }
        let place = hasWeights ? path : "a card: no weights here; they are at \(path)"
        return "\(name)  (\(place))\n\n" + lines.joined(separator: "\n")
    }

    private var routing: String {
        let shared = config.experts.sharedSize.map { ", and a shared one \(Prose.count($0)) wide" } ?? ""
        return config.router.summary + shared + dense
    }

    /// Which layers have no experts; empty where all have.
    private var dense: String {
        let layers = config.layers.indices.filter { config.layers[$0].feedForward == .dense }
        guard let size = config.denseSize, !layers.isEmpty else { return "" }
        let isFirst = layers == Array(0..<layers.count)
        let which =
            layers.count == 1
            ? "layer \(layers[0]) is" : isFirst ? "layers 0 to \(layers.count - 1) are" : "\(layers.count) layers are"
        return "; \(which) dense, \(Prose.count(size)) wide"
    }

    private var attention: String {
        let heads =
            "\(config.attention.headCount) query heads, \(config.attention.keyValueHeadCount) key/value heads of \(config.attention.headSize)"
        switch config.attention.queryKeyNorm {
        case .perHead: return heads + ", normalized per head"
        case .wholeProjection: return heads + ", normalized"
        case nil: return heads
        }
    }

    private var context: String {
        var text =
            "\(Prose.count(config.contextLength)) tokens; rotary base \(Self.number(config.attention.rotary.theta))"
        if let scaling = config.attention.rotary.scaling {
            text += ", \(scaling.kind.rawValue) scaling × \(scaling.factor) of \(Prose.count(scaling.originalContext))"
        } else {
            text += ", no scaling"
        }
        if let window = config.slidingWindow { text += "; window of \(Prose.count(window))" }
        return text
    }

    /// The mix in a line, then a line for each type.
    private var quantizationLines: [String] {
        guard let quantization else {
            return ["BF16 as published, \(Self.bytes(weightBytes)); `moescope memory \(name)` for other types"]
        }
        let bits = String(format: "%.2f bits a weight", quantization.bitsPerWeight)
        let mix: String
        if types.count == 1 {
            mix = "\(types[0].dtype) throughout"
        } else if let known = quantization.mix {
            mix = "\(known), llama.cpp's mix of types"
        } else {
            mix = "a mix of types" + (quantization.announced.map { " that calls itself \($0)" } ?? "")
        }
        let lines = types.map { type in
            func padded(_ text: String, _ width: Int) -> String {
                String(repeating: " ", count: max(0, width - text.count)) + text
            }
            let roles = type.roles.prefix(5).joined(separator: " ") + (type.roles.count > 5 ? " …" : "")
            return type.dtype + String(repeating: " ", count: max(1, 6 - type.dtype.count))
                + padded(Prose.count(type.tensors), 6) + (type.tensors == 1 ? " tensor " : " tensors")
                + padded(Self.percent(type.parameters, of: parametersTotal), 8)
                + padded(Self.bytes(type.bytes), 11)
                + padded(String(format: "%.2f", type.bitsPerWeight), 7) + " bits  " + roles
        }
        return ["\(mix), \(bits), \(Self.bytes(weightBytes))"] + (types.count == 1 ? [] : lines)
    }

    private var templateLine: String {
        guard let chatTemplate else { return "none: a base model, or one whose prompts must be written by hand" }
        let kind = chatTemplate.kind ?? "of a kind not known here"
        if !hasWeights { return kind }
        return "\(kind), \(Prose.count(chatTemplate.characters)) characters of Jinja in \(chatTemplate.source)"
    }

    private var tokenizerLine: String {
        guard let tokenizer else { return cardTokenizer ?? "none" }
        func token(_ name: String, _ id: Int32?, _ piece: String?) -> String {
            id.map { ", \(name) \($0) \(piece ?? "")" } ?? ""
        }
        return "\(tokenizer.file), \(tokenizer.kind), \(Prose.count(tokenizer.vocabularySize)) pieces"
            + token("BOS", tokenizer.bos, tokenizer.bosPiece) + token("EOS", tokenizer.eos, tokenizer.eosPiece)
            + framing(tokenizer)
    }

    /// What is around every text, where that is not BOS before it alone.
    private func framing(_ tokenizer: TokenizerFacts) -> String {
        func list(_ ids: [Int32]) -> String { ids.map(String.init).joined(separator: " ") }
        var text = ""
        if tokenizer.prefix.isEmpty {
            text += "; nothing before a text"
        } else if tokenizer.prefix != [tokenizer.bos ?? -1] {
            text += "; \(list(tokenizer.prefix)) before a text"
        }
        return tokenizer.suffix.isEmpty ? text : text + "; \(list(tokenizer.suffix)) after a text"
    }

    /// 1,000,000, or 1e+20 where digits would say nothing.
    static func number(_ value: Float) -> String {
        value < 1e12 && value == value.rounded() ? Prose.count(Int(value)) : "\(value)"
    }

    /// 46.7 B, 17.2 M, 950.
    static func count(_ value: Int) -> String {
        switch value {
        case 1_000_000_000...: String(format: "%.1f B", Double(value) / 1e9)
        case 1_000_000...: String(format: "%.1f M", Double(value) / 1e6)
        default: Prose.count(value)
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
}
