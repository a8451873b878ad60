/// The sizes that shape a trace's tensors: L captured layers, E experts, K slots per token, H heads.
public struct TraceLayout: Sendable, Equatable {
    /// Model layers captured, in rising order. "Layer index" below is a place in this list.
    public var layers: [Int]
    public var experts: Int
    public var expertsPerToken: Int
    public var heads: Int
    /// nil: router logits are not kept.
    public var routerLogits: TraceManifest.Capture.LogitFormat?
    public var attentionSummary: Bool
    /// Whether the most probable next token is kept.
    public var predicted: Bool
    /// How many layers ahead experts were guessed, in the order of the manifest.
    public var speculative: [Int]
    /// Experts in a guess: the model's own K, whatever an intervention made of it.
    public var expertsPerGuess: Int

    public init(_ manifest: TraceManifest) {
        layers = manifest.capture.layers
        experts = manifest.model.experts
        expertsPerToken = manifest.capture.expertsPerToken ?? manifest.model.expertsPerToken
        heads = manifest.model.heads
        routerLogits = manifest.capture.routerLogits
        attentionSummary = manifest.capture.attentionSummary
        predicted = manifest.capture.predicted ?? false
        speculative = manifest.capture.speculative ?? []
        expertsPerGuess = manifest.model.expertsPerToken
    }

    public var layerCount: Int { layers.count }

    /// The captured layers that have a layer so far before them: those whose experts were guessed from there.
    public func guessedLayers(ahead: Int) -> [Int] { layers.filter { $0 >= ahead } }

    /// Whether an index fits U8.
    var hasByteIndices: Bool { experts <= 256 }

    /// Bytes of one row in a shard: what to multiply by the tokens for a projected size. Patterns come on top.
    public var bytesPerToken: Int {
        let fixed = 4 * 4
        let logits: Int =
            switch routerLogits {
            case .f32: 4 * layerCount * experts
            case .f16: 2 * layerCount * experts
            case nil: 0
            }
        let chosen = layerCount * expertsPerToken * (4 + (hasByteIndices ? 1 : 2))
        let attention = attentionSummary ? AttentionStatistic.allCases.count * 2 * layerCount * heads : 0
        let guesses = speculative.reduce(0) { $0 + guessedLayers(ahead: $1).count } * expertsPerGuess
        return fixed + logits + chosen + attention + (predicted ? 4 : 0) + guesses * (hasByteIndices ? 1 : 2)
    }
}

/// What is kept of a head's attention at a row, in the order in which the engine's `attn.summary` hook gives it.
public enum AttentionStatistic: String, Sendable, CaseIterable, Codable {
    /// nats
    case entropy = "attention_entropy"
    /// Mass on position 0.
    case first = "attention_first"
    /// Mass on the previous position; 0 in a document's first row.
    case previous = "attention_previous"
    /// Mean distance in tokens.
    case distance = "attention_distance"
    /// Largest weight.
    case max = "attention_max"
}
