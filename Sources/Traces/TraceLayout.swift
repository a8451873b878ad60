import RouterPolicies

/// The sizes and columns of a trace's shards: L captured layers with a router, E experts, K slots per token, H heads.
public struct TraceLayout: Sendable, Equatable {
    /// Captured layers that have a router, in rising order. "Layer index" below is a place in this list.
    public var layers: [Int]
    /// All captured layers, in rising order: what attention is kept of.
    public var attentionLayers: [Int]
    public var experts: Int
    public var expertsPerToken: Int
    public var heads: Int
    /// What the model's router does with its logits.
    public var router: RouterPolicy
    /// nil: router logits are not kept.
    public var routerLogits: TraceManifest.Capture.LogitFormat?
    public var attentionSummary: Bool
    /// Whether the most probable next token is kept.
    public var predicted: Bool
    /// How many layers ahead experts were guessed, in the order of the manifest.
    public var speculative: [Int]
    /// Experts in a guess: the model's own K, whatever an intervention made of it.
    public var expertsPerGuess: Int
    /// Whether the experts of a token come by falling weight; an imported record may not say.
    public var hasChoiceOrder: Bool
    /// Every array of a shard, in the order of the file.
    public private(set) var columns: [TraceColumn]

    public init(_ manifest: TraceManifest) {
        let capture = manifest.capture
        layers = capture.layers.filter(Set(manifest.model.layersWithRouter).contains)
        attentionLayers = capture.layers
        experts = manifest.model.experts
        expertsPerToken = capture.expertsPerToken ?? manifest.model.expertsPerToken
        heads = manifest.model.heads
        router = manifest.model.routerPolicy
        routerLogits = capture.routerLogits
        attentionSummary = capture.attentionSummary
        predicted = capture.predicted ?? false
        speculative = capture.speculative ?? []
        hasChoiceOrder = !(capture.absent ?? []).contains(TraceManifest.Capture.choiceOrder)
        expertsPerGuess = manifest.model.expertsPerToken
        var columns: [TraceColumn] = [.document, .position, .token, .logprob]
        if let routerLogits { columns.append(.routerLogits(routerLogits)) }
        columns.append(.expertWeights)
        if attentionSummary { columns += AttentionStatistic.allCases.map(TraceColumn.attention) }
        columns.append(.expertIndices)
        if predicted { columns.append(.predicted) }
        let named = Set(capture.columns ?? [])
        columns += TraceColumn.named.filter { named.contains($0.name) }
        let absent = Set(capture.absent ?? [])
        self.columns = columns.filter { !absent.contains($0.name) }
        self.columns += speculative.filter { !guessedLayers(ahead: $0).isEmpty }.map(TraceColumn.guesses)
    }

    public var layerCount: Int { layers.count }

    /// The column of this name; nil where the trace does not hold it.
    public func column(_ name: String) -> TraceColumn? { columns.first { $0.name == name } }

    /// Whether token ids are recorded: an imported record may have none.
    public var hasTokens: Bool { column(TraceColumn.token.name) != nil }
    /// Whether log-probabilities of the tokens are recorded.
    public var hasLogprobs: Bool { column(TraceColumn.logprob.name) != nil }
    /// Whether mixing weights are recorded. Without them nothing is known of the order of a token's experts either.
    public var hasWeights: Bool { column(TraceColumn.expertWeights.name) != nil }

    /// The captured layers whose experts were guessed from so many layers before.
    public func guessedLayers(ahead: Int) -> [Int] { layers.filter { $0 >= ahead } }

    /// Whether an index fits U8: of E experts the number E stands for a choice that a row does not use.
    var hasByteIndices: Bool { experts < 256 }

    /// Bytes of one row in a shard: what to multiply by the tokens for a projected size. Patterns come on top.
    public var bytesPerToken: Int { columns.reduce(0) { $0 + $1.bytesPerToken(self) } }
}
