import RoutingMetrics

/// The page's opening: computed sentences, each with its strength, its interval and what it rests on.
struct Findings {
    let metrics: ReportMetrics
    let names: GroupNames

    /// A q-value below this is called real.
    static let level = 0.05

    static func isReal(_ p: Double?) -> Bool { p.map { $0 < level } ?? false }

    static let note =
        "A dependence is called faint where the information is below 2 % of the entropy of the groups, moderate below 10 %, clear "
        + "below 25 %, and strong above. Intervals are 95 % intervals from a bootstrap over documents. p-values come from permuting "
        + "group labels over documents; q-values are Benjamini–Hochberg's."

    var all: [Finding] { [information, expert, repetition].compactMap(\.self) }

    /// How much routing tells about the group, in the layer where it tells most.
    private var information: Finding? {
        guard let metric = metrics.information,
            let best = metric.layers.max(by: { $0.information.value < $1.information.value })
        else { return nil }
        let real = metric.layers.count { Self.isReal($0.adjustedP) }
        let sample =
            "The sample is \(Prose.plural(metric.sample.documents, "document")) with \(Prose.plural(metric.sample.tokens, "token"))."
        guard real > 0 else {
            return Finding(
                claim: "In no layer was a dependence of routing on the \(names.noun) found.",
                evidence:
                    "The largest information is in layer \(best.layer): \(bits(best)), \(Prose.probability(best.adjustedP ?? .nan)). \(sample)"
            )
        }
        let share = best.share.value
        return Finding(
            claim:
                "Routing depends \(Self.adverb(share)) on the \(names.noun). In layer \(best.layer), a token's experts carry "
                + "\(Prose.number(best.information.value)) bits of information about its \(names.noun), which is \(Prose.percent(share)) of "
                + "the entropy of the \(names.noun)s.",
            evidence:
                "The information is \(bits(best)), \(Prose.probability(best.adjustedP ?? .nan)). The information exceeds that of permuted "
                + "labels in \(real) of \(Prose.plural(metric.layers.count, "layer")) (q < \(Self.level)). \(sample)")
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
        let real = judged.filter { Self.isReal($0.adjustedP) }
        func floor(_ row: GroupExpertShare) -> Double { row.share?.lower ?? row.share?.value ?? 0 }
        guard let best = real.max(by: { floor($0) < floor($1) }), let share = best.share else {
            guard !judged.isEmpty else { return nil }
            return Finding(
                claim:
                    "No expert was found whose share of a \(names.noun) differs from its share of the other \(names.noun)s.",
                evidence:
                    "\(Prose.count(judged.count)) shares of an expert in a \(names.noun) were compared. None has q < \(Self.level)."
            )
        }
        let others = metric.rows.filter { $0.layer == best.layer && $0.group != best.group }
        let otherCount = others.filter { $0.expert == best.expert }.reduce(0) { $0 + $1.count }
        let otherShare = Double(otherCount) / Double(max(1, others.reduce(0) { $0 + $1.count }))
        return Finding(
            claim:
                "The most specialized expert is expert \(best.expert) of layer \(best.layer). It receives \(Prose.percent(share.value)) of the "
                + "assignments of \(names.prose(best.group)), which is \(Prose.number(share.value / metric.uniform)) times a uniform share. "
                + "Of the assignments of all other \(names.noun)s it receives \(Prose.percent(otherShare)).",
            evidence:
                "The share of \(names.prose(best.group)) is \(Prose.percent(share.value))\(Prose.percentInterval(share)), "
                + "\(Prose.probability(best.adjustedP ?? .nan)); a uniform share is \(Prose.percent(metric.uniform)). "
                + "\(names.prose(best.group)) has \(Prose.plural(best.documents, "document")) with "
                + "\(Prose.plural(best.tokens, "token")). \(Prose.count(real.count)) of \(Prose.count(judged.count)) such shares differ "
                + "from the share of the other \(names.noun)s (q < \(Self.level))."
        )
    }

    /// Whether neighbouring tokens keep their expert.
    private var repetition: Finding? {
        guard let metric = metrics.repetition else { return nil }
        let rows = metric.rows.filter { $0.group.isPooled }
        guard let best = rows.max(by: { excess($0) < excess($1) }), let first = best.first else { return nil }
        let above = rows.count { ($0.first?.lower ?? 0) > $0.loadChanceFirst }
        let claim =
            above == 0
            ? "In no layer were neighbouring tokens found to have the same first expert more often than chance."
            : "Neighbouring tokens often have the same first expert. In layer \(best.layer), \(Prose.percent(first.value)) of tokens have "
                + "the first expert of the token before them. For two tokens drawn independently, the "
                + "probability is \(Prose.percent(best.loadChanceFirst))."
        var evidence =
            "The share is \(Prose.percent(first.value))\(Prose.percentInterval(first)), over \(Prose.plural(best.pairs, "pair")) of "
            + "neighbouring tokens. It exceeds that of independent draws in \(above) of \(Prose.plural(rows.count, "layer"))."
        if let load = metrics.load, let fullest = load.layers.max(by: { $0.maxOverMean.value < $1.maxOverMean.value }) {
            let dead = load.layers.reduce(0) { $0 + $1.deadExperts.count }
            evidence +=
                " The most loaded expert, in layer \(fullest.layer), receives \(Prose.number(fullest.maxOverMean.value)) times a uniform share. "
                + (dead == 0
                    ? "Every expert receives tokens."
                    : "\(Prose.plural(dead, "expert is dead: it receives", "experts are dead: they receive")) no token.")
        }
        return Finding(claim: claim, evidence: evidence)
    }

    private func excess(_ row: RepetitionMetric.Row) -> Double {
        (row.first?.value ?? 0) / max(row.loadChanceFirst, 1e-9)
    }
}
