import RoutingMetrics

/// The page's opening: computed sentences, each with its strength, its interval and what it rests on.
struct Findings {
    let metrics: ReportMetrics
    let names: GroupNames

    /// A q-value below this is called real.
    static let level = 0.05

    static let note =
        "Information below 2 % of what there is to know is called faint, below 10 % moderate, below 25 % clear, above strong. "
        + "Intervals are 95 %, from a bootstrap over documents; p-values come from permuting group labels over documents, "
        + "q-values are Benjamini–Hochberg's."

    var all: [Finding] { [information, expert, repetition].compactMap(\.self) }

    /// How much routing tells about the group, in the layer where it tells most.
    private var information: Finding? {
        guard let metric = metrics.information,
            let best = metric.layers.max(by: { $0.information.value < $1.information.value })
        else { return nil }
        let real = metric.layers.count { $0.qValue < Self.level }
        let sample =
            "\(Prose.plural(metric.sample.documents, "document")), \(Prose.plural(metric.sample.tokens, "token"))"
        guard real > 0 else {
            return Finding(
                claim: "Routing shows no dependence on the \(names.noun) beyond chance, in any layer.",
                evidence: "Most in layer \(best.layer): \(bits(best)), \(Prose.probability(best.pValue)); \(sample).")
        }
        let share = best.share.value
        return Finding(
            claim:
                "Routing depends \(Self.adverb(share)) on the \(names.noun): in layer \(best.layer) the experts a token goes to tell "
                + "\(Prose.number(best.information.value)) bits about its \(names.noun), \(Prose.percent(share)) of all there is to know.",
            evidence:
                "\(bits(best)); permuted labels give at most \(Prose.number(best.nullUpper)) bits (95th percentile), "
                + "\(Prose.probability(best.pValue)). Beyond chance in \(real) of \(Prose.plural(metric.layers.count, "layer")) "
                + "(q < \(Self.level)). \(sample).")
    }

    private func bits(_ layer: InformationMetric.Layer) -> String {
        "\(Prose.number(layer.information.value)) of \(Prose.number(layer.groupEntropy)) bits\(Prose.interval(layer.information))"
    }

    static func adverb(_ share: Double) -> String {
        switch share {
        case ..<0.02: "faintly"
        case ..<0.10: "moderately"
        case ..<0.25: "clearly"
        default: "strongly"
        }
    }

    /// The expert that is most of one group.
    private var expert: Finding? {
        guard let metric = metrics.domainShare else { return nil }
        let judged = metric.rows.filter { $0.share != nil }
        let real = judged.filter { ($0.qValue ?? 1) < Self.level }
        func floor(_ row: GroupExpertShare) -> Double { row.share?.lower ?? row.share?.value ?? 0 }
        guard let best = real.max(by: { floor($0) < floor($1) }), let share = best.share else {
            guard !judged.isEmpty else { return nil }
            return Finding(
                claim:
                    "No expert takes a share of any \(names.noun)'s tokens that differs from its share of the others.",
                evidence: "\(Prose.count(judged.count)) shares of experts and \(names.noun)s compared, none with "
                    + "q < \(Self.level).")
        }
        let others = metric.rows.filter { $0.layer == best.layer && $0.group != best.group }
        let otherCount = others.filter { $0.expert == best.expert }.reduce(0) { $0 + $1.count }
        let otherShare = Double(otherCount) / Double(max(1, others.reduce(0) { $0 + $1.count }))
        return Finding(
            claim:
                "The most specialized is expert \(best.expert) of layer \(best.layer): it takes \(Prose.percent(share.value)) of the "
                + "assignments of \(names.prose(best.group)), \(Prose.number(share.value / metric.uniform)) times an even share, "
                + "and \(Prose.percent(otherShare)) of all others'.",
            evidence:
                "\(Prose.percent(share.value))\(Prose.percentInterval(share)); even share \(Prose.percent(metric.uniform)); "
                + "\(Prose.probability(best.qValue ?? .nan, symbol: "q")). \(Prose.plural(best.documents, "document")) and "
                + "\(Prose.plural(best.tokens, "token")) of \(names.prose(best.group)). \(Prose.count(real.count)) of "
                + "\(Prose.count(judged.count)) such shares differ from the other \(names.noun)s' at q < \(Self.level)."
        )
    }

    /// Whether neighbouring tokens keep their expert.
    private var repetition: Finding? {
        guard let metric = metrics.repetition else { return nil }
        let rows = metric.rows.filter { $0.group == RepetitionMetric.allGroups }
        guard let best = rows.max(by: { excess($0) < excess($1) }), let first = best.first else { return nil }
        let above = rows.count { ($0.first?.lower ?? 0) > $0.loadChanceFirst }
        let claim =
            above == 0
            ? "Neighbouring tokens do not keep their first expert more often than chance."
            : "Neighbouring tokens keep their first expert: \(Prose.percent(first.value)) of the time in layer \(best.layer), "
                + "\(Prose.number(first.value / best.loadChanceFirst)) times what its load makes by chance."
        var evidence =
            "\(Prose.percent(first.value))\(Prose.percentInterval(first)) against \(Prose.percent(best.loadChanceFirst)); "
            + "above chance in \(above) of \(Prose.plural(rows.count, "layer")); \(Prose.plural(best.pairs, "pair")) of tokens."
        if let load = metrics.load, let fullest = load.layers.max(by: { $0.maxOverMean.value < $1.maxOverMean.value }) {
            let dead = load.layers.reduce(0) { $0 + $1.deadExperts.count }
            evidence +=
                " Load: the fullest expert takes \(Prose.number(fullest.maxOverMean.value)) times an even share (layer \(fullest.layer)); "
                + (dead == 0 ? "no expert is dead." : "\(Prose.plural(dead, "expert is", "experts are")) dead.")
        }
        return Finding(claim: claim, evidence: evidence)
    }

    private func excess(_ row: RepetitionMetric.Row) -> Double {
        (row.first?.value ?? 0) / max(row.loadChanceFirst, 1e-9)
    }
}
