import FileFormats
import RoutingMetrics
import Traces

/// The parts of the page. Each is a file of this folder, with its words, figures and tables, and a line in `measured`.
struct Sections {
    let trace: Trace
    let metrics: ReportMetrics
    let names: GroupNames
    var experiment: RecordedExperiment?
    /// Documents whose tokens are shown; nil: a sample.
    var shown: [Int]?

    /// In reading order, each only where its metric was measured.
    var measured: [Section] {
        [
            agreement, saturation, experimentSection, groups, experts, information, divergence, positions, load,
            coactivation, repetition, paths, cache, speculation, confidence, heads,
        ].compactMap(\.self)
    }

    /// All of them: the measured, then the tokens themselves, for which the trace is read again, then the rules.
    func all() throws(FileError) -> [Section] { measured + (try tokens()) + [absences, rules].compactMap(\.self) }

    var model: TraceManifest.Model { trace.manifest.model }
    /// The layers that were looked at.
    var layers: [Int] { metrics.load?.layers.map(\.layer) ?? trace.manifest.capture.layers }
    /// One past the last of them: the length of a layer axis.
    var depth: Int { (layers.last ?? 0) + 1 }

    /// Beyond so many groups, a figure ranks them or puts those that are alike side by side, and names none by its colour.
    static let mostGroups = 12
    /// Beyond so many experts, a figure of their pairs shows the first of a ranking.
    static let mostExperts = 32
    /// Beyond so many cells, small multiples of all groups become one ranking.
    static let mostCells = 20_000

    /// Groups in the order of figures: by name, or, where they are many, so that those that are routed alike stand side by side.
    func ordered(_ groups: [String]) -> [String] {
        guard groups.count > Self.mostGroups, let pairs = metrics.divergence?.pairs else { return groups }
        var distance: [Set<String>: Double] = [:]
        for pair in pairs { distance[[pair.groupA, pair.groupB], default: 0] += pair.divergence.value }
        func between(_ a: String, _ b: String) -> Double { distance[[a, b]] ?? 0 }
        // From the group that is farthest from all others, always to the nearest that is left.
        var left = groups
        var order: [String] = []
        while !left.isEmpty {
            let next =
                order.last.map { last in left.indices.min { between(left[$0], last) < between(left[$1], last) } }
                ?? left.indices.max { a, b in
                    groups.reduce(0) { $0 + between(left[a], $1) } < groups.reduce(0) { $0 + between(left[b], $1) }
                }
            guard let next else { break }
            order.append(left.remove(at: next))
        }
        return order
    }

    /// The layer a slider starts at: where routing tells most about the group.
    var mostInformativeLayer: Int {
        metrics.information?.mostInformativeSet()?.layer ?? layers.first ?? 0
    }

    func slider(_ figures: [String]) -> Section.LayerControl? {
        guard let first = layers.first, let last = layers.last else { return nil }
        return .init(figures: figures, layers: first...last, value: mostInformativeLayer)
    }

    /// Definition, source, sample and settings in a few sentences.
    func method(_ definition: MetricDefinition, sample: MetricSample) -> String {
        let settings = sample.settings
        let skipped =
            settings.skippedPositions == 0
            ? "every position counts"
            : settings.skippedPositions == 1
                ? "the first position of each document is left out"
                : "the first \(Prose.plural(settings.skippedPositions, "position")) of each document are left out"
        let tokens = Prose.plural(sample.tokens, "\(settings.positions == .generated ? "generated " : "")token")
        return
            "\(definition.title): \(definition.formula). Source: \(definition.source). The sample is "
            + "\(Prose.plural(sample.documents, "document")) with \(tokens); \(skipped). There are "
            + "\(Prose.count(settings.bootstrap)) bootstrap replicates and \(Prose.count(settings.permutations)) permutations; the "
            + "seed is \(settings.seed)."
    }
}
