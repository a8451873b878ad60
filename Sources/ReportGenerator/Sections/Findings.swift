import RoutingMetrics

/// The page's opening: sentences that a verdict allows, each with its number, its interval and its sample.
struct Findings {
    let metrics: ReportMetrics
    let names: GroupNames

    static let note =
        "A sentence is printed where its rule allows it; the rules are at the end of the page. p-values are adjusted for everything that "
        + "was tested for the sentence. Intervals are 95 % intervals over documents, or over what belongs together: parallel texts and "
        + "clusters of documents."

    var all: [Finding] { [dependence, expert, repetition, load].compactMap(\.self) }

    /// Whether routing depends on the group, and how much a token's experts tell.
    private var dependence: Finding? {
        guard let association = metrics.result(AssociationMetric.self) else { return nil }
        let verdict = association.dependence
        let found = association.layers.filter { Verdict.isFound($0.adjustedP) }
        let smallest = association.layers.compactMap(\.adjustedP).min() ?? .nan
        switch verdict.outcome {
        case .notTestable(let reason):
            return Finding(
                claim: "The documents cannot tell whether routing depends on the \(names.noun).",
                evidence: "\(reasons ?? "Because \(reason).") \(Self.sample(association.sample))")
        case .notFound:
            return Finding(
                claim: "A dependence of routing on the \(names.noun) was not found.",
                evidence:
                    "In none of \(Prose.plural(association.layers.count, "layer")) does an expert's share differ between a \(names.noun) and the "
                    + "others (smallest adjusted \(Prose.probability(smallest))). \(power)\(Self.sample(association.sample))"
            )
        case .found:
            let told = tells(found.map(\.layer))
            return Finding(
                claim: "Routing depends on the \(names.noun). \(told?.claim ?? "")",
                evidence:
                    "In \(found.count) of \(Prose.plural(association.layers.count, "layer")) some expert's share of a \(names.noun)'s assignments "
                    + "differs from its share elsewhere (adjusted p < \(Verdict.level); the smallest is "
                    + "\(Prose.probability(smallest))). \(told?.evidence ?? "")\(reasons.map { $0 + " " } ?? "")\(Self.sample(association.sample))"
            )
        }
    }

    /// How much a token's experts tell about the group, in the layer where they tell most, of those that pass their own test.
    private func tells(_ layers: [Int]) -> (claim: String, evidence: String)? {
        guard let metric = metrics.information, let best = metric.mostInformativeSet(among: layers),
            let bits = best.information, let share = best.share
        else { return nil }
        let what = metric.sample.expertsPerToken > 1 ? "set of \(metric.sample.expertsPerToken) experts" : "expert"
        let single = metric.unit(.assignment, layer: best.layer)?.information
        return (
            "In layer \(best.layer), a token's \(what) tells\(best.method == .decoding ? " at least" : "") "
                + "\(Prose.number(bits.value)) of the \(Prose.number(best.groupEntropy)) bits that would name its \(names.noun) "
                + "(\(Prose.percent(share.value))\(Prose.interval(bits, unit: "bits"))).",
            single.map {
                metric.sample.expertsPerToken > 1
                    ? "One of its experts alone tells \(Prose.number($0.value)) bits\(Prose.interval($0)). " : ""
            } ?? ""
        )
    }

    /// The group's expert whose share differs most from elsewhere.
    private var expert: Finding? {
        guard let metric = metrics.result(SpecialistMetric.self) else { return nil }
        func others(_ row: SpecialistMetric.Row) -> String {
            let compared = metric.sample.largeGroupNames.filter { $0 != row.group && metric.notCompared[$0] == nil }
            if compared.count == 1 { return names.prose(compared[0]) }
            return "the \(names.noun)s that \(names.prose(row.group)) is compared with"
        }
        func floor(_ row: SpecialistMetric.Row) -> Double { row.logOdds.lower ?? row.logOdds.value }
        guard let best = metric.rows.max(by: { floor($0) < floor($1) }) else {
            guard case .notFound = metric.specialist.outcome else { return nil }
            return Finding(
                claim: "An expert that receives more of one \(names.noun) than of the others was not found.",
                evidence: power + Self.sample(metric.sample))
        }
        return Finding(
            claim:
                "The most specialized expert is expert \(best.expert) of layer \(best.layer). It receives "
                + "\(Prose.percent(best.share.value))\(Prose.percentInterval(best.share)) of the assignments of "
                + "\(names.prose(best.group)), and \(Prose.percent(best.elsewhere.value))\(Prose.percentInterval(best.elsewhere)) of those of "
                + "\(others(best)).",
            evidence:
                "It was chosen by the ratio of the odds of both shares. Its intervals hold for all "
                + "\(Prose.count(best.cells)) pairs of an expert and a \(names.noun) at once, so also for the chosen one (adjusted "
                + "\(Prose.probability(best.adjustedP))). \(names.prose(best.group)) has \(Prose.plural(best.documents, "document")) with "
                + "\(Prose.plural(best.tokens, "token")). \(replicated(metric, best))")
    }

    /// Whether sources agree on the groups' experts.
    private func replicated(_ metric: SpecialistMetric, _ best: SpecialistMetric.Row) -> String {
        guard !metric.replications.isEmpty else { return "" }
        let held = metric.replications.count { Verdict.isFound($0.adjustedP) && $0.logOdds > 0 }
        let own = metric.replications.filter { $0.group == best.group }
        let ownHeld = own.count { Verdict.isFound($0.adjustedP) && $0.logOdds > 0 }
        let sources = Set(metric.replications.map(\.cluster)).count
        return
            "The documents are of \(sources) sources. Where all sources but one choose each \(names.noun)'s expert and the one left out tests it, "
            + "the choice holds in \(held) of \(metric.replications.count) tests (adjusted p < \(Verdict.level))"
            + (own.isEmpty ? "." : ", in \(ownHeld) of \(own.count) for \(names.prose(best.group)).")
    }

    /// Whether neighbouring tokens keep their expert.
    private var repetition: Finding? {
        guard let metric = metrics.repetition else { return nil }
        let layers = metric.pooled.count { $0.firstShuffled?.adjustedP != nil }
        if case .notTestable = metric.repetition.outcome { return nil }
        guard let best = metric.strongest, let first = best.first, let shuffled = best.firstShuffled else {
            return Finding(
                claim:
                    "That neighbouring tokens have the same first expert more often than the document's tokens in a random order was not found.",
                evidence:
                    "\(Prose.plural(layers, "layer")) \(layers == 1 ? "was" : "were") tested. \(Self.sample(metric.sample))"
            )
        }
        return Finding(
            claim:
                "Neighbouring tokens have the same first expert more often than chance gives. In layer \(best.layer), "
                + "\(Prose.percent(first.value)) of tokens have the first expert of the token before them; with the tokens of each document "
                + "in a random order, \(Prose.percent(shuffled.expected)) would.",
            evidence:
                "The share is \(Prose.number(shuffled.ratio.value)) times that of a random order\(Prose.interval(shuffled.ratio)), over "
                + "\(Prose.plural(best.pairs, "pair")) of neighbouring tokens. It was found above in \(metric.aboveChance.count) of "
                + "\(Prose.plural(layers, "layer"))"
                + (metric.belowChance.isEmpty ? "" : ", and below in \(metric.belowChance.count)")
                + " (adjusted p < \(Verdict.level)).")
    }

    /// The most loaded expert, and experts without tokens.
    private var load: Finding? {
        guard let load = metrics.load,
            let fullest = load.layers.max(by: { $0.maxOverMean.value < $1.maxOverMean.value })
        else { return nil }
        let dead = load.layers.flatMap { layer in layer.deadExperts.map { "expert \($0) of layer \(layer.layer)" } }
        return Finding(
            claim:
                Self.unevenness(fullest),
            evidence: dead.isEmpty
                ? "Every expert receives tokens of these documents."
                : dead.count <= 8
                    ? "In these documents no token goes to \(Prose.list(dead))."
                    : "In these documents no token goes to \(Prose.count(dead.count)) of the experts.")
    }

    /// Of the layer with the largest load of one expert.
    static func unevenness(_ layer: LoadMetric.Layer) -> String {
        "The load is most uneven in layer \(layer.layer): its most loaded expert receives \(Prose.number(layer.maxOverMean.value)) times a "
            + "uniform share\(Prose.interval(layer.maxOverMean))."
    }

    /// The difference that would have been found, where it is known.
    private var power: String {
        guard let detectable = metrics.result(SpecialistMetric.self)?.detectable else { return "" }
        return
            "That is no evidence of absence: a difference of \(Prose.number(100 * detectable)) percentage points between a share here and "
            + "elsewhere would have been found in four of five such samples, for the median expert. "
    }

    /// Groups that could not be compared, and why.
    private var reasons: String? {
        guard let metric = metrics.result(SpecialistMetric.self), !metric.notCompared.isEmpty else { return nil }
        return metric.notCompared.sorted { $0.key < $1.key }.map {
            "\(names.prose($0.key)) is not compared: \($0.value)."
        }
        .joined(separator: " ")
    }

    static func sample(_ sample: MetricSample) -> String {
        "The sample is \(Prose.plural(sample.documents, "document")) with \(Prose.plural(sample.tokens, "token"))."
    }
}
