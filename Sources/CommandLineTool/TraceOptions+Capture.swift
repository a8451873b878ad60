import ArgumentParser
import Checkpoints
import Traces
import Tracing

extension TraceOptions {
    /// What a value of `--capture` asks for.
    init(capture text: String, config: ModelConfig) throws {
        self.init()
        routerLogits = nil
        for name in text.split(separator: ",").map({ $0.trimmingCharacters(in: .whitespaces) }) {
            switch name {
            case "none": break
            case "router_logits": routerLogits = .f32
            case "router_logits_f16": routerLogits = .f16
            case "predicted": predicted = true
            case "speculative": speculative = TraceOptions.speculativeDistances
            case "attention_summary": attentionSummary = true
            case let name where name.hasPrefix("attention_pattern:"):
                try addPatterns(String(name.dropFirst("attention_pattern:".count)), config: config)
            case let name where TraceColumn.named.contains { $0.name == name }: columns.append(name)
            default:
                throw ValidationError(
                    "--capture: no such thing as \"\(name)\"; expected router_logits, router_logits_f16, "
                        + "attention_summary, predicted, speculative, attention_pattern:LAYER.HEAD, attention_pattern:* or none"
                )
            }
        }
    }

    private mutating func addPatterns(_ text: String, config: ModelConfig) throws {
        // One star stands for every head of every layer.
        let parts = (text == "*" ? "*.*" : text).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            throw ValidationError(
                "--capture: expected attention_pattern:LAYER.HEAD, or attention_pattern:* for all, found \"attention_pattern:\(text)\""
            )
        }
        let layers = try numbers(parts[0], below: config.layerCount, what: "layer")
        let heads = try numbers(parts[1], below: config.attention.headCount, what: "head")
        for layer in layers {
            for head in heads where !patterns.contains(where: { $0 == (layer, head) }) {
                patterns.append((layer, head))
            }
        }
    }

    private func numbers(_ text: Substring, below limit: Int, what: String) throws -> [Int] {
        if text == "*" { return Array(0..<limit) }
        guard let number = Int(text), (0..<limit).contains(number) else {
            throw ValidationError("--capture: \(what) \"\(text)\": expected 0 to \(limit - 1), or *")
        }
        return [number]
    }
}
