import ArgumentParser
import MoEModel
import Traces

/// How the next token is chosen, and when a text ends.
struct SamplingOptions: ParsableArguments {
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

    func validate() throws {
        guard maxTokens >= 1 else { throw ValidationError("--max-tokens: expected at least 1, found \(maxTokens)") }
        guard temperature >= 0 else { throw ValidationError("--temperature: expected 0 or more, found \(temperature)") }
        guard topK >= 0 else { throw ValidationError("--top-k: expected 0 or more, found \(topK)") }
        for (name, value) in [("--top-p", topP), ("--min-p", minP)] where !(0...1).contains(value) {
            throw ValidationError("\(name): expected 0 to 1, found \(value)")
        }
        guard repetitionPenalty > 0, repetitionPenalty.isFinite else {
            throw ValidationError("--repetition-penalty: expected above 0, found \(repetitionPenalty)")
        }
        guard !stops.contains("") else { throw ValidationError("--stop: expected a text, found an empty one") }
    }

    var sampler: Sampler {
        var sampler = Sampler(seed: seed)
        sampler.temperature = temperature
        sampler.topK = topK
        sampler.topP = topP
        sampler.minP = minP
        sampler.repetitionPenalty = repetitionPenalty
        return sampler
    }

    /// As a trace records it.
    func record(cache: CacheType) -> TraceManifest.Generation {
        TraceManifest.Generation(
            temperature: temperature, topK: topK, topP: topP, minP: minP, repetitionPenalty: repetitionPenalty,
            seed: seed, cache: cache.rawValue)
    }
}
