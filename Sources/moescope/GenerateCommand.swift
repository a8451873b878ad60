import ArgumentParser
import Foundation
import Hooks
import MoEModel
import Tokenizers

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continue a text, token by token.",
        discussion: """
            Greedy by default: the same prompt gives the same text. A temperature above 0 samples, and --seed makes \
            that repeatable.

            Examples:
              moescope generate polyglot --prompt "Der Rauch" --max-tokens 60
              moescope generate polyglot --prompt "def main" --temperature 0.7 --top-p 0.9 --seed 3
              moescope generate polyglot --prompt "Le fichier" --show-experts 3
            """)

    @Argument(help: "A Hugging Face folder, a .gguf file, or a built-in model (polyglot).")
    var model: String

    @Option(help: ArgumentHelp("Text to continue; - reads it from standard input.", valueName: "text"))
    var prompt: String

    @Option(help: ArgumentHelp("Tokens to generate at most.", valueName: "n"))
    var maxTokens = 128

    @Option(
        help: ArgumentHelp(
            "0 takes the most probable token; 1 samples from the model's own distribution.", valueName: "t"))
    var temperature: Float = 0

    @Option(help: ArgumentHelp("Sample from the n most probable tokens only; 0: all.", valueName: "n"))
    var topK = 0

    @Option(help: ArgumentHelp("Sample from the most probable tokens that together reach p.", valueName: "p"))
    var topP: Float = 1

    @Option(help: ArgumentHelp("Drop tokens less probable than this share of the most probable.", valueName: "p"))
    var minP: Float = 0

    @Option(help: ArgumentHelp("Make tokens that occurred before less likely; 1: not.", valueName: "r"))
    var repetitionPenalty: Float = 1

    @Option(help: "Seed of the random numbers.")
    var seed: UInt64 = 0

    @Option(
        name: .customLong("stop"),
        help: ArgumentHelp("Stop before this text; can be given more than once.", valueName: "text"))
    var stops: [String] = []

    @Option(help: "exact: f32 throughout; fast: bf16 or int8 products.")
    var precision: Precision = .fast

    @Option(help: "Keys and values of earlier tokens: f32, f16 or q8_0 (default: f16; f32 with exact).")
    var cache: CacheType?

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @Option(
        help: ArgumentHelp("On a terminal: colour each token by its first expert in this layer.", valueName: "layer"))
    var showExperts: Int?

    @Flag(help: "Print one JSON object with text, tokens and speeds.")
    var json = false

    func validate() throws {
        guard maxTokens >= 1 else { throw ValidationError("--max-tokens: expected at least 1, found \(maxTokens)") }
        guard temperature >= 0 else { throw ValidationError("--temperature: expected 0 or more, found \(temperature)") }
        guard (0...1).contains(topP), (0...1).contains(minP) else {
            throw ValidationError("--top-p and --min-p: expected 0 to 1")
        }
        guard repetitionPenalty > 0 else {
            throw ValidationError("--repetition-penalty: expected above 0, found \(repetitionPenalty)")
        }
    }

    private struct Output: Encodable {
        let prompt: String
        let text: String
        let tokens: [Int32]
        let prompt_tokens: Int
        let stopped_by: String
        let prefill_tokens_per_second: Double
        let decode_tokens_per_second: Double
    }

    func run() throws {
        let loaded = try LoadedModel(model, precision: precision, threads: threads)
        guard let tokenizer = loaded.tokenizer else {
            throw ModelError.unsupported("\(loaded.model.checkpoint.name) has no tokenizer, so it cannot read a prompt")
        }
        let prompt =
            self.prompt == "-"
            ? String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self) : self.prompt
        let promptTokens = (tokenizer.bos.map { [$0] } ?? []) + tokenizer.encode(prompt)
        var sampler = Sampler(seed: seed)
        sampler.temperature = temperature
        sampler.topK = topK
        sampler.topP = topP
        sampler.minP = minP
        sampler.repetitionPenalty = repetitionPenalty

        let session = try Session(loaded.model, cache: cache)
        let printer = TextPrinter(prompt: prompt, isSilent: json, stops: stops)
        let watcher = try showExperts.map { try FirstExpert(layer: $0, model: loaded.model) }
        let clock = ContinuousClock()
        let started = clock.now
        var logits = try session.append(promptTokens)
        let prefilled = clock.now
        var generated: [Int32] = []
        var reason = "max_tokens"
        while generated.count < maxTokens {
            let token = sampler.next(logits, seen: session.tokens)
            if token == tokenizer.eos {
                reason = "end_of_text"
                break
            }
            generated.append(token)
            guard session.remaining > 0 else {
                _ = printer.show(tokenizer.decodeBytes(promptTokens + generated), expert: nil)
                reason = "context"
                break
            }
            try session.decode(token, into: &logits, plan: watcher?.plan ?? .none, observer: watcher)
            if !printer.show(tokenizer.decodeBytes(promptTokens + generated), expert: watcher?.expert) {
                reason = "stop"
                break
            }
        }
        let ended = clock.now
        printer.finish()
        let prefill = Double(promptTokens.count) / max(ProgressLine.seconds(prefilled - started), 1e-9)
        let decode = Double(generated.count) / max(ProgressLine.seconds(ended - prefilled), 1e-9)
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            let output = Output(
                prompt: prompt, text: printer.text, tokens: generated, prompt_tokens: promptTokens.count,
                stopped_by: reason, prefill_tokens_per_second: prefill, decode_tokens_per_second: decode)
            print(String(decoding: try encoder.encode(output), as: UTF8.self))
        } else {
            if reason == "context" {
                say("the model's context of \(loaded.model.config.contextLength) tokens is full")
            }
            say(String(format: "prefill %.0f tokens/s · decode %.1f tokens/s", prefill, decode))
        }
    }
}

/// The first expert of the last token in one layer.
private final class FirstExpert: HookObserver {
    let plan: HookPlan
    private(set) var expert: Int?

    init(layer: Int, model: Model) throws {
        plan = try HookPlan(
            observing: ["blocks.\(layer).expert_indices"], layerCount: model.config.layerCount)
    }

    func observe(_ point: HookPoint, _ value: borrowing HookValue) throws {
        expert = value.withIndices { $0.first.map(Int.init) }
    }
}

/// Writes text as it grows, whole characters only, and stops before a stop text.
private final class TextPrinter {
    private let isSilent: Bool
    private let stops: [String]
    private let promptBytes: Int
    private var written: Int
    private let colors: Bool
    /// Generated text so far, up to a stop text.
    private(set) var text = ""

    init(prompt: String, isSilent: Bool, stops: [String]) {
        self.isSilent = isSilent
        self.stops = stops
        promptBytes = prompt.utf8.count
        written = promptBytes
        colors = isatty(STDOUT_FILENO) != 0
        if !isSilent { write(prompt) }
    }

    /// - Parameter bytes: the whole text, prompt included.
    /// - Returns: false where a stop text was reached.
    func show(_ bytes: [UInt8], expert: Int?) -> Bool {
        // The start of a character waits for the rest of it.
        var end = bytes.count
        if String(validating: bytes[..<end], as: UTF8.self) == nil {
            for cut in 1...3 where cut <= end {
                if String(validating: bytes[..<(bytes.count - cut)], as: UTF8.self) != nil {
                    end = bytes.count - cut
                    break
                }
            }
        }
        guard end > written else { return true }
        let all = String(decoding: bytes[min(promptBytes, end)..<end], as: UTF8.self)
        for stop in stops {
            if let range = all.range(of: stop) {
                text = String(all[..<range.lowerBound])
                return false
            }
        }
        let fresh = String(decoding: bytes[written..<end], as: UTF8.self)
        written = end
        text = all
        guard !isSilent else { return true }
        if let expert, colors {
            write("\u{1B}[38;5;\([203, 75, 114, 221, 141, 215, 80, 211][expert % 8])m\(fresh)\u{1B}[0m")
        } else {
            write(fresh)
        }
        return true
    }

    func finish() { if !isSilent { write("\n") } }

    private func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}
