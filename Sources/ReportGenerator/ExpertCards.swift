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
    var isShown: Bool
}

struct ExpertCards {
    let metrics: ReportMetrics
    let names: GroupNames
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
                    isShown: row.layer == layer)
            }
        }
    }

    /// The piece without its space mark; what continues a word begins with an ellipsis.
    private static func shown(_ token: VocabularyMetric.Token) -> String {
        guard let piece = token.piece else { return "⟨\(token.token)⟩" }
        if piece.hasPrefix("\u{2581}") { return String(piece.dropFirst().prefix(24)) }
        return "…" + String(piece.prefix(24))
    }
}
