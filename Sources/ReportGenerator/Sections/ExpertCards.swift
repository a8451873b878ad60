import RoutingMetrics

/// One expert of one layer on a card: whom it serves and which tokens are its own.
struct ExpertCard: Sendable {
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
}

struct ExpertCards {
    let metrics: ReportMetrics
    let names: GroupNames
    let experiment: ReportedExperiment?
    /// The layer whose cards are shown first.
    let layer: Int

    /// More cards than this would bury the page: then only the first layer's are there.
    private static let limit = 512

    var all: [ExpertCard] {
        guard let load = metrics.load, let shares = metrics.domainShare,
            let vocabulary = metrics.result(VocabularyMetric.self)
        else { return [] }
        let count = load.layers.reduce(0) { $0 + $1.experts.count }
        let layers = load.layers.filter { count <= Self.limit || $0.layer == layer }
        let tokens = Dictionary(grouping: vocabulary.tokens.filter { $0.side == .input }) { [$0.layer, $0.expert] }
        let groups = Dictionary(grouping: shares.rows) { [$0.layer, $0.expert] }
        let confidence = Dictionary(grouping: metrics.expertConfidence?.rows ?? []) { [$0.layer, $0.expert] }
        let ablations = experiment?.ablations ?? [:]
        return layers.flatMap { row in
            row.experts.map { expert in
                let key = [row.layer, expert.expert]
                let served = (groups[key] ?? []).compactMap { share -> (String, Double)? in
                    guard let estimate = share.share, (share.qValue ?? 1) < Findings.level else { return nil }
                    return (names.prose(share.group), estimate.value / shares.uniform)
                }.filter { $0.1 > 1 }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
                return ExpertCard(
                    layer: row.layer, expert: expert.expert,
                    load: "\(Prose.percent(expert.share.value)) of assignments",
                    groups: served.prefix(3).map { "\($0.0) \(Prose.number($0.1))×" },
                    tokens: (tokens[key] ?? []).sorted { $0.rank < $1.rank }.prefix(8).map(Self.shown),
                    confidence: confidence[key]?.first.flatMap(Self.described),
                    ablation: ablations[.init(layer: row.layer, expert: expert.expert)].flatMap(described),
                    isShown: row.layer == layer)
            }
        }
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

    /// The piece without its space mark; what continues a word begins with an ellipsis.
    private static func shown(_ token: VocabularyMetric.Token) -> String {
        guard let piece = token.piece else { return "⟨\(token.token)⟩" }
        if piece.hasPrefix("\u{2581}") { return String(piece.dropFirst().prefix(24)) }
        return "…" + String(piece.prefix(24))
    }
}
