import FileFormats
import RoutingMetrics

extension Sections {
    /// A card for every expert: whom it serves and which tokens are its own.
    var experts: Section? {
        guard let metric = metrics.result(VocabularyMetric.self), let load = metrics.load,
            let shares = metrics.domainShare
        else { return nil }
        let cards = ExpertCards(
            load: load, shares: shares, vocabulary: metric, confidence: metrics.expertConfidence, names: names,
            ablations: experiment?.ablations ?? [:], layer: mostInformativeLayer
        ).all
        guard !cards.isEmpty else { return nil }
        let layer = metric.layers.first { $0.layer == mostInformativeLayer && $0.side == .input }
        return Section(
            id: "experts", title: "What each expert is used for",
            lead:
                "Each card is an expert\(model.experts > ExpertCards.mostInOrder ? ", the most used first" : ""). It names the \(names.noun)s of which the expert receives more than a uniform share, the weight that the "
                + "expert has where it is chosen, and the tokens that go to it most exclusively."
                + (layer.map {
                    " In layer \($0.layer), the expert that a token goes to most often receives \(Prose.percent($0.specialization)) of the "
                        + "token's occurrences, on average."
                } ?? ""),
            control: cards.contains { $0.layer != mostInformativeLayer } ? slider([]) : nil,
            body: .init(template: "cards", values: ["cards": .array(cards.map(\.json))]),
            method: method(VocabularyMetric.definition, sample: metric.sample)
                + " The number after a \(names.noun) is the expert's share of it as a multiple of a uniform share. A \(names.noun) is named "
                + "where that is above 1 and differs from the other \(names.noun)s (adjusted p < \(Verdict.level)).",
            downloads: ["vocabulary", "vocabulary-layers", "domain-share"]
                + (metrics.expertConfidence == nil ? [] : [ExpertConfidenceMetric.definition.name]))
    }
}

/// One expert of one layer on a card.
private struct ExpertCard {
    var layer: Int
    var expert: Int
    /// "11 % of assignments".
    var load: String
    /// "German 3.4×, French 1.2×": the groups of which it receives more than a uniform share.
    var serves: String
    var tokens: [String]
    /// "Its mean weight is 0.58. …"; nil where nothing chose the expert.
    var confidence: String?
    /// "Ablating it adds +0.034 nats per token (German: +0.12)."; nil where it was not taken away.
    var ablation: String?
    var isShown: Bool

    /// What the template is filled with.
    var json: JSON {
        [
            "layer": .int(layer), "expert": .int(expert), "load": .string(load), "hidden": .bool(!isShown),
            "serves": .string(serves),
            "tokens": .array(tokens.map { ["text": .string($0)] }),
            "confidence": confidence.map { .string($0) } ?? false, "ablation": ablation.map { .string($0) } ?? false,
        ]
    }
}

private struct ExpertCards {
    let load: LoadMetric
    let shares: DomainShareMetric
    let vocabulary: VocabularyMetric
    let confidence: ExpertConfidenceMetric?
    let names: GroupNames
    let ablations: [ExpertPlace: [ExperimentResult.Effect]]
    /// The layer whose cards are shown first.
    let layer: Int

    /// More cards than this would bury the page: then only the first layer's are there.
    private static let limit = 512

    var all: [ExpertCard] {
        let count = load.layers.reduce(0) { $0 + $1.experts.count }
        let layers = load.layers.filter { count <= Self.limit || $0.layer == layer }
        let tokens = Dictionary(grouping: vocabulary.tokens.filter { $0.side == .input }) { [$0.layer, $0.expert] }
        let groups = Dictionary(grouping: shares.rows) { [$0.layer, $0.expert] }
        let confidence = Dictionary(grouping: confidence?.rows ?? []) { [$0.layer, $0.expert] }
        return layers.flatMap { row in
            ranked(row.experts).map { expert in
                let key = [row.layer, expert.expert]
                return ExpertCard(
                    layer: row.layer, expert: expert.expert,
                    load: "\(Prose.percent(expert.share.value)) of assignments", serves: served(groups[key] ?? []),
                    tokens: (tokens[key] ?? []).sorted { $0.rank < $1.rank }.prefix(8).map(Self.shown),
                    confidence: confidence[key]?.first.flatMap(Self.described),
                    ablation: ablations[.init(layer: row.layer, expert: expert.expert)].flatMap(described),
                    isShown: row.layer == layer)
            }
        }
    }

    /// More experts than this are in the order of their load: the page shows as many until its reader wants the others.
    static let mostInOrder = 16

    private func ranked(_ experts: [LoadMetric.Expert]) -> [LoadMetric.Expert] {
        guard experts.count > Self.mostInOrder else { return experts }
        return experts.sorted { ($1.share.value, $0.expert) < ($0.share.value, $1.expert) }
    }

    /// The groups of which it receives more than a uniform share, the three largest first.
    private func served(_ rows: [GroupExpertShare]) -> String {
        let above = rows.compactMap { row -> (String, Double)? in
            guard let share = row.share, Verdict.isFound(row.adjustedP) else { return nil }
            return (names.prose(row.group), share.value / shares.uniform)
        }.filter { $0.1 > 1 }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
        guard !above.isEmpty else { return "no \(names.noun) above a uniform share" }
        return above.prefix(3).map { "\($0.0) \(Prose.number($0.1))×" }.joined(separator: ", ")
    }

    private static func described(_ row: ExpertConfidenceMetric.Row) -> String? {
        guard let weight = row.weight, let first = row.first else { return nil }
        return
            "Its mean weight is \(Prose.number(weight.value)). It is the first choice of \(Prose.percent(first.value)) of its tokens."
    }

    private func described(_ effects: [ExperimentResult.Effect]) -> String? {
        func nats(_ value: Double) -> String { (value > 0 ? "+" : "") + Prose.number(value) }
        guard let all = effects.first(where: { $0.effect.group.isPooled })?.effect.difference else { return nil }
        let most = effects.filter { !$0.effect.group.isPooled && ($0.qValue ?? 1) < Verdict.level }
            .max { ($0.effect.difference?.value ?? 0) < ($1.effect.difference?.value ?? 0) }
        var hit = ""
        if let group = most?.effect.group.name, let difference = most?.effect.difference {
            hit = " (\(names.prose(group)): \(nats(difference.value)))"
        }
        return "Ablating it adds \(nats(all.value)) nats per token\(hit)."
    }

    /// The token's text, cut to what a card has room for; its id where the trace has no vocabulary.
    private static func shown(_ token: VocabularyMetric.Token) -> String {
        let text = token.text ?? TokenText(pieces: [], kind: .noTokenizer).alone(token.token)
        return text.count > 24 ? text.prefix(24) + "…" : text
    }
}
