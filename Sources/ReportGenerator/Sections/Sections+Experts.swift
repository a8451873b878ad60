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
            id: "experts", title: "Who the experts are",
            lead:
                "Expert by expert: whom it serves more than its even share, and the tokens that go nowhere else as often, and how much weight it carries where it is chosen."
                + (layer.map {
                    " In layer \($0.layer) a token's favourite expert gets \(Prose.percent($0.specialization)) of its occurrences."
                } ?? ""),
            control: cards.contains { $0.layer != mostInformativeLayer } ? slider([]) : nil,
            body: .init(template: "cards", values: ["cards": .array(cards.map(\.json))]),
            method: method(VocabularyMetric.definition, sample: metric.sample)
                + " A figure after a \(names.noun) is its share of assignments as a multiple of an even share, where it differs from the others' at q < \(Findings.level).",
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
    /// "German 3.4×", most above an even share first.
    var groups: [String]
    var tokens: [String]
    /// "mean weight 0.58, first choice of 61 %"; nil where nothing chose the expert.
    var confidence: String?
    /// "Without it: +0.034 nats per token; German +0.12"; nil where it was not taken away.
    var ablation: String?
    var isShown: Bool

    /// What the template is filled with.
    var json: JSON {
        [
            "layer": .int(layer), "expert": .int(expert), "load": .string(load), "hidden": .bool(!isShown),
            "serves": .string(groups.isEmpty ? "nobody above an even share" : groups.joined(separator: ", ")),
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
    let ablations: [ReportedExperiment.Expert: [ReportedExperiment.Effect]]
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
            row.experts.map { expert in
                let key = [row.layer, expert.expert]
                return ExpertCard(
                    layer: row.layer, expert: expert.expert,
                    load: "\(Prose.percent(expert.share.value)) of assignments", groups: served(groups[key] ?? []),
                    tokens: (tokens[key] ?? []).sorted { $0.rank < $1.rank }.prefix(8).map(Self.shown),
                    confidence: confidence[key]?.first.flatMap(Self.described),
                    ablation: ablations[.init(layer: row.layer, expert: expert.expert)].flatMap(described),
                    isShown: row.layer == layer)
            }
        }
    }

    /// The groups that have more than an even share there, the three largest first.
    private func served(_ rows: [GroupExpertShare]) -> [String] {
        let above = rows.compactMap { row -> (String, Double)? in
            guard let share = row.share, (row.qValue ?? 1) < Findings.level else { return nil }
            return (names.prose(row.group), share.value / shares.uniform)
        }.filter { $0.1 > 1 }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
        return above.prefix(3).map { "\($0.0) \(Prose.number($0.1))×" }
    }

    private static func described(_ row: ExpertConfidenceMetric.Row) -> String? {
        guard let weight = row.weight, let first = row.first else { return nil }
        return "mean weight \(Prose.number(weight.value)), first choice of \(Prose.percent(first.value)) of its tokens"
    }

    private func described(_ effects: [ReportedExperiment.Effect]) -> String? {
        func nats(_ value: Double) -> String { (value > 0 ? "+" : "") + Prose.number(value) }
        guard let all = effects.first(where: { $0.group == "all" })?.difference else { return nil }
        let most = effects.filter { $0.group != "all" && ($0.qValue ?? 1) < Findings.level }
            .max { ($0.difference?.value ?? 0) < ($1.difference?.value ?? 0) }
        let hit = most.flatMap { effect in effect.difference.map { "; \(names.prose(effect.group)) \(nats($0.value))" }
        }
        return "Without it: \(nats(all.value)) nats per token\(hit ?? "")"
    }

    /// The token's text, cut to what a card has room for; its id where the trace has no vocabulary.
    private static func shown(_ token: VocabularyMetric.Token) -> String {
        let text = token.text ?? TokenText(pieces: [], kind: .noTokenizer).alone(token.token)
        return text.count > 24 ? text.prefix(24) + "…" : text
    }
}
