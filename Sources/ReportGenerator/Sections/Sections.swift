import RoutingMetrics
import Traces

/// The parts of the page, in reading order, each only where its metric was measured.
struct Sections {
    let manifest: TraceManifest
    let metrics: ReportMetrics
    let names: GroupNames
    var experiment: ReportedExperiment?

    private var experts: Int { manifest.model.experts }
    /// The layers that were looked at.
    private var layers: [Int] { metrics.load?.layers.map(\.layer) ?? manifest.capture.layers }
    /// One past the last of them: the length of a layer axis.
    var depth: Int { (layers.last ?? 0) + 1 }
    private var lastLayer: Int { manifest.model.layers - 1 }

    /// The layer a slider starts at: where routing tells most about the group.
    var mostInformativeLayer: Int {
        metrics.information?.layers.max { $0.information.value < $1.information.value }?.layer ?? layers.first ?? 0
    }

    func slider(_ figures: [String]) -> Section.LayerControl? {
        guard let first = layers.first, let last = layers.last else { return nil }
        return .init(figures: figures, layers: first...last, value: mostInformativeLayer)
    }

    var all: [Section] {
        [
            agreement, saturation, experimentSection, groups, expertCards, information, divergence, positions, load,
            coactivation, repetition, paths, cache, speculation, confidence, heads,
        ].compactMap(\.self)
    }

    /// The token browser; always there, since every trace has tokens.
    func browser(_ data: BrowserData, of trace: Trace) -> Section {
        let all = trace.documents.count
        let which =
            data.documentCount == all
            ? "All \(Prose.plural(all, "document"))"
            : "\(Prose.count(data.documentCount)) of \(Prose.plural(all, "document")), whole sets of parallel texts spread evenly over the corpus"
        return Section(
            id: "tokens", title: "The tokens themselves",
            lead:
                "Each token in its text, coloured by its first expert at the layer of the slider. Point at one, or walk with the arrow keys, "
                + "to see what the router gave every expert; choose an expert to light up its tokens; search for a token to see every place it stands.",
            method:
                "\(which) are in this page, \(Prose.plural(data.tokenCount, "token")); the numbers above are computed from all. Probabilities "
                + "and weights are shown to 1/255, surprise to an eighth of a bit.",
            part: .browser)
    }

    func attention(_ data: AttentionData) -> Section {
        Section(
            id: "attention", title: "Attention and routing of the same tokens",
            lead:
                "Where each token looks, one head at a time, over text coloured by the first expert of the head's layer. "
                + "Choose a head, point at a token (click to hold it); lines lead to what it attends to most.",
            method:
                "Patterns of \(Prose.plural(data.documents.count, "document")) and up to \(Prose.plural(data.headCount, "head"))"
                + (data.headCount < data.capturedHeads ? " of the \(Prose.count(data.capturedHeads)) that" : " that")
                + " the trace captured; documents of up to \(Prose.count(AttentionData.longestDocument)) tokens. Per token the "
                + "\(data.entriesPerRow) largest weights of at least 1/255 at most, so that the page stays small.",
            part: .attention)
    }

    private var groups: Section? {
        guard let metric = metrics.domainShare, !metric.sample.largeGroupNames.isEmpty else { return nil }
        let real = metric.rows.filter { ($0.qValue ?? 1) < Findings.level }
        let best = Dictionary(grouping: real, by: \.group).compactMap { group, rows -> (String, GroupExpertShare)? in
            rows.max { ($0.share?.value ?? 0) < ($1.share?.value ?? 0) }.map { (group, $0) }
        }.sorted { $0.0 < $1.0 }
        let described = best.compactMap { group, row in
            row.share.map {
                "\(names.prose(group)) expert \(row.expert) of layer \(row.layer) (\(Prose.percent($0.value)))"
            }
        }
        let groups = metric.sample.largeGroupNames
        let small = metric.sample.groups.filter { !$0.isLargeEnough }
        var paragraphs: [String] = []
        if !small.isEmpty {
            paragraphs.append(
                "Left out, because intervals need at least \(metric.sample.settings.minimumDocuments) documents: "
                    + Prose.list(small.map { "\($0.name) (\($0.documents))" }) + ".")
        }
        return Section(
            id: "groups", title: "Which experts each \(names.noun) uses",
            lead: described.isEmpty
                ? "No expert's share of a \(names.noun) differs from its share of the others."
                : "Each \(names.noun)'s largest share goes to: \(Prose.list(described)).",
            paragraphs: paragraphs, control: slider(["figure-group-layer"]),
            figures: [
                RoutingFigures.atLayer(groups: groups, experts: experts, layer: mostInformativeLayer),
                RoutingFigures.overview(groups: groups, layers: layers.count, experts: experts),
            ],
            method: method(DomainShareMetric.definition, sample: metric.sample),
            downloads: ["domain-share", "specialization", "association"])
    }

    private var information: Section? {
        guard let metric = metrics.information else { return nil }
        let real = metric.layers.filter { $0.qValue < Findings.level }
        let low = metric.layers.min { $0.information.value < $1.information.value }
        let high = metric.layers.max { $0.information.value < $1.information.value }
        var lead =
            "Expert and \(names.noun) are related beyond chance in \(real.count) of \(Prose.plural(metric.layers.count, "layer"))"
        if let low, let high, low.layer != high.layer {
            lead +=
                ": from \(Prose.number(max(0, low.information.value))) bits in layer \(low.layer) to "
                + "\(Prose.number(high.information.value)) in layer \(high.layer), of "
                + "\(Prose.number(high.groupEntropy)) bits that knowing the \(names.noun) is worth"
        }
        return Section(
            id: "information", title: "How much routing tells about the \(names.noun)", lead: lead + ".",
            paragraphs: [withinTokens].compactMap(\.self),
            figures: [LayerFigures.information(layers: depth)],
            method: method(InformationMetric.definition, sample: metric.sample),
            downloads: ["information"] + (withinTokens == nil ? [] : ["within-token"]))
    }

    private var divergence: Section? {
        guard let metric = metrics.divergence, !metric.pairs.isEmpty else { return nil }
        let mean = Dictionary(grouping: metric.pairs, by: { [$0.groupA, $0.groupB] }).mapValues { pairs in
            pairs.reduce(0) { $0 + $1.divergence.value } / Double(pairs.count)
        }.sorted { ($0.value, $0.key[0], $0.key[1]) < ($1.value, $1.key[0], $1.key[1]) }
        var lead = ""
        if let near = mean.first, let far = mean.last, mean.count > 1 {
            lead =
                "Routed most alike are \(names.prose(near.key[0])) and \(names.prose(near.key[1])) (\(Prose.number(near.value)) nats on average "
                + "over layers), most differently \(names.prose(far.key[0])) and \(names.prose(far.key[1])) (\(Prose.number(far.value)))."
        }
        let groups = metric.sample.largeGroupNames
        let parallel = parallelTexts
        return Section(
            id: "divergence", title: "How differently \(names.noun)s are routed", lead: lead,
            paragraphs: parallel.map { [$0.text] } ?? [], control: slider(["figure-pairs"]),
            figures: [
                LayerFigures.pairs(
                    groups: groups, layer: mostInformativeLayer, largest: metric.pairs.map(\.divergence.value).max() ?? 1),
                LayerFigures.divergence(layers: depth),
            ] + (parallel.map { [$0.figure] } ?? []),
            method: method(DivergenceMetric.definition, sample: metric.sample),
            downloads: ["divergence", "divergence-layers"]
                + (parallel == nil ? [] : ["parallel-divergence", "parallel-divergence-layers"]))
    }

    private var load: Section? {
        guard let metric = metrics.load,
            let fullest = metric.layers.max(by: { $0.maxOverMean.value < $1.maxOverMean.value })
        else { return nil }
        let dead = metric.layers.flatMap { layer in layer.deadExperts.map { "\($0) of layer \(layer.layer)" } }
        return Section(
            id: "load", title: "How evenly experts are used",
            lead:
                "The most uneven is layer \(fullest.layer), whose fullest expert takes \(Prose.number(fullest.maxOverMean.value)) times an even share"
                + "\(Prose.interval(fullest.maxOverMean)); "
                + (dead.isEmpty
                    ? "no expert is dead."
                    : "dead \(dead.count == 1 ? "is expert" : "are experts") \(Prose.list(dead))."),
            figures: [RoutingFigures.load(layers: layers.count, experts: experts)],
            method: method(LoadMetric.definition, sample: metric.sample), downloads: ["load", "load-layers"])
    }

    private var coactivation: Section? {
        guard let metric = metrics.coactivation, manifest.model.expertsPerToken > 1,
            let best = metric.pairs.filter({ $0.share != nil }).max(by: {
                ($0.share?.value ?? 0) < ($1.share?.value ?? 0)
            }),
            let share = best.share
        else { return nil }
        return Section(
            id: "coactivation", title: "Which experts work together",
            lead:
                "The closest pair is in layer \(best.layer): of the tokens that go to expert \(best.expert), \(Prose.percent(share.value)) also go "
                + "to expert \(best.other)\(Prose.percentInterval(share)); by chance it would be \(Prose.percent(metric.uniform)).",
            control: slider(["figure-coactivation"]),
            figures: [RoutingFigures.coactivation(experts: experts, layer: mostInformativeLayer, largest: share.value)],
            method: method(CoactivationMetric.definition, sample: metric.sample), downloads: ["coactivation"])
    }

    private var repetition: Section? {
        guard let metric = metrics.repetition else { return nil }
        let rows = metric.rows.filter { $0.group == RepetitionMetric.allGroups }
        let above = rows.count { ($0.first?.lower ?? 0) > $0.loadChanceFirst }
        let below = rows.count { ($0.first?.upper ?? 1) < $0.loadChanceFirst }
        return Section(
            id: "repetition", title: "Whether neighbouring tokens keep their expert",
            lead: "The first expert is repeated more often than the measured load makes by chance in \(above) of "
                + "\(Prose.plural(rows.count, "layer"))\(below > 0 ? ", less often in \(below)" : "").",
            figures: [
                LayerFigures.repetition(.first, lastLayer: lastLayer),
                LayerFigures.repetition(.any, lastLayer: lastLayer),
            ],
            method: method(RepetitionMetric.definition, sample: metric.sample),
            downloads: ["repetition", PublishedRepetition.table.name])
    }

    private var confidence: Section? {
        guard let metric = metrics.confidence else { return nil }
        let rows = metric.rows.filter { $0.group == ConfidenceMetric.allGroups && $0.entropy != nil }
        guard let sure = rows.min(by: { ($0.entropy?.value ?? 0) < ($1.entropy?.value ?? 0) }),
            let unsure = rows.max(by: { ($0.entropy?.value ?? 0) < ($1.entropy?.value ?? 0) })
        else { return nil }
        return Section(
            id: "confidence", title: "How decided the router is",
            lead:
                "The router is most decided in layer \(sure.layer) (mean entropy \(Prose.number(sure.entropy?.value ?? .nan)) nats) and least in "
                + "layer \(unsure.layer) (\(Prose.number(unsure.entropy?.value ?? .nan)) nats).",
            figures: [LayerFigures.confidence(layers: depth, groups: metric.sample.largeGroupNames)],
            method: method(ConfidenceMetric.definition, sample: metric.sample), downloads: ["confidence"])
    }

    /// Definition, source, sample and settings in two sentences.
    func method(_ definition: MetricDefinition, sample: MetricSample) -> String {
        let settings = sample.settings
        let skipped =
            settings.skippedPositions == 0
            ? "every position"
            : settings.skippedPositions == 1
                ? "without the first position of each document"
                : "without the first \(Prose.plural(settings.skippedPositions, "position")) of each document"
        return
            "\(definition.title): \(definition.formula). Source: \(definition.source). \(Prose.plural(sample.documents, "document")), "
            + "\(Prose.plural(sample.tokens, "\(settings.positions == .generated ? "generated " : "")token")), \(skipped); \(Prose.count(settings.bootstrap)) bootstrap replicates, "
            + "\(Prose.count(settings.permutations)) permutations, seed \(settings.seed)."
    }
}
