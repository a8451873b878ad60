import FileFormats
import Foundation
import Tensors
import Traces

/// A trace counted once, and the settings: what every metric is computed from.
///
/// One pass over the shards leaves sums per document, layer and expert; memory is that of these tables and of one shard
/// per thread, not of the trace.
public struct MetricInput: Sendable {
    public let trace: Trace
    public let settings: MetricSettings
    /// Names of the groups, sorted.
    public let groups: [String]
    /// The group of each document of the trace, as a place in `groups`.
    public let groupOf: [Int]
    public let sample: MetricSample
    /// One for each layer that is looked at, in the order of the settings.
    let layers: [LayerCounts]
    /// Each document's counted tokens.
    let tokens: [Int]
    /// Which documents of the trace belong together.
    let design: SamplingDesign
    let router: RouterProbabilities
    let knownContrasts = ComputedOnce<GroupContrasts, Never>()
    let knownDecoding = ComputedOnce<DecodingMetric, MetricError>()

    /// Counts on this many pairs of experts per document and layer at most; beyond, pairs are kept per group only.
    static let pairBudget = 32_000_000

    /// Most groups that are told apart: several metrics resample all groups for each of them.
    static let mostGroups = 1024

    /// Counts a trace.
    /// - Throws: a layer that was not captured, a trace that cannot be read, has no documents, or has too many groups.
    public init(_ trace: Trace, settings: MetricSettings = MetricSettings()) throws(MetricError) {
        self.trace = trace
        guard !trace.documents.isEmpty else {
            throw MetricError("metrics", "\(trace.url.path): no document in the trace")
        }
        let layout = trace.layout
        let wanted = settings.layers ?? layout.layers
        var places: [Int] = []
        for layer in wanted {
            guard let place = layout.layers.indices.first(where: { Self.modelLayer(of: $0, in: layout) == layer })
            else {
                throw MetricError(
                    "metrics", "layer \(layer) is not in the trace; captured: \(layout.layers)", hint: "see --layers")
            }
            places.append(place)
        }
        let names = Self.groupNames(trace.documents, by: settings.grouping)
        let groups = Set(names).sorted()
        guard groups.count <= Self.mostGroups else {
            throw MetricError(
                "metrics", "\(trace.url.path): expected at most \(Self.mostGroups) groups, found \(groups.count)",
                hint: "give documents that belong together the same \"group\", or use --by length")
        }
        let settings = settings.affordable(
            layers: places.count, experts: layout.experts, documents: trace.documents.count, groups: groups.count)
        self.settings = settings
        let placeOf = Dictionary(uniqueKeysWithValues: groups.enumerated().map { ($1, $0) })
        let groupOf = names.map { placeOf[$0] ?? 0 }
        let tokens = trace.documents.map { settings.rows($0).count }
        var groupTokens = [Int](repeating: 0, count: groups.count)
        var groupDocuments = groupTokens
        for (document, group) in groupOf.enumerated() where tokens[document] > 0 {
            groupTokens[group] += tokens[document]
            groupDocuments[group] += 1
        }
        let pairs = layout.experts * (layout.experts - 1) / 2 * places.count
        let pairCells = pairs * trace.documents.count
        try Self.checkMemory(
            trace, layers: places.count, pairCells: pairCells <= Self.pairBudget ? pairCells : pairs * groups.count)
        let layers = places.map {
            LayerCounts(
                layer: Self.modelLayer(of: $0, in: layout), layerIndex: $0, layout: layout,
                documents: trace.documents.count,
                groups: groups.count, pairsPerDocument: pairCells <= Self.pairBudget,
                pairsAdjacentRanks: settings.adjacentRanks)
        }
        let router = RouterProbabilities(layout)
        let sampleStride = groupTokens.map { max(1, $0 / LayerCounts.sampledSets) }
        do throws(FileError) {
            for index in 0..<trace.shardCount {
                let shard = try trace.shard(index)
                Parallel.forEach(layers.count, threads: settings.threads) { layer in
                    layers[layer].add(
                        shard, rows: settings.rows, groupOf: groupOf, sampleStride: sampleStride, router: router)
                }
            }
        } catch {
            throw MetricError("metrics", error)
        }
        try Self.checkReadable(trace, "metrics")
        guard settings.positions != .generated || tokens.contains(where: { $0 > 0 }) else {
            throw MetricError(
                "metrics", "\(trace.url.path): no document has generated tokens",
                hint: "`moescope generate --trace` writes traces that have; --positions prompt counts the others")
        }
        self.layers = layers
        self.router = router
        self.groups = groups
        self.groupOf = groupOf
        self.tokens = tokens
        design = SamplingDesign(
            group: groupOf, parallel: trace.documents.map(\.parallelID), cluster: trace.documents.map(\.cluster),
            isJudged: groupDocuments.map { $0 >= max(2, settings.minimumDocuments) })
        sample = MetricSample(
            model: trace.manifest.model.name, documents: tokens.reduce(0) { $0 + ($1 > 0 ? 1 : 0) },
            tokens: tokens.reduce(0, +), experts: layout.experts, expertsPerToken: layout.expertsPerToken,
            groups: groups.indices.map {
                .init(
                    name: groups[$0], documents: groupDocuments[$0], tokens: groupTokens[$0],
                    isLargeEnough: groupDocuments[$0] >= max(2, settings.minimumDocuments))
            }, settings: settings)
    }

    /// Refuses a trace whose tables would be out of all proportion to what it holds: few tokens of very many experts.
    private static func checkMemory(_ trace: Trace, layers: Int, pairCells: Int) throws(MetricError) {
        let perDocument = (trace.layout.routerLogits == nil ? 2 : 3) * trace.layout.experts + 8
        let needed = 8 * (layers * trace.documents.count * perDocument + pairCells)
        let recorded = trace.manifest.tokens * trace.layout.bytesPerToken
        guard needed > max(memoryFloor, 64 * recorded) else { return }
        throw MetricError(
            "metrics",
            "\(trace.url.path)/manifest.json: field model.experts: \(trace.layout.experts) experts need tables of "
                + "\(needed >> 20) MiB for a trace of \(recorded >> 20) MiB",
            hint: "look at fewer layers with --layers")
    }

    /// Bytes of tables that are never too many.
    private static let memoryFloor = 1 << 29

    /// The model's own number of a row of a trace's arrays. Traces hold the layers that have a router, so rows and numbers differ
    /// where a model has dense layers, or where not every layer was captured. Every metric prints the number that `LayerCounts`
    /// got from here, and never a row.
    static func modelLayer(of row: Int, in layout: TraceLayout) -> Int { layout.layers[row] }

    /// [D, E + 1]: assignments to every expert, then tokens, of each document of the trace.
    func assignmentsWithTokens(_ layer: LayerCounts) -> [Double] {
        let E = layer.experts
        var values: [Double] = []
        values.reserveCapacity(tokens.count * (E + 1))
        for (document, count) in tokens.enumerated() {
            values.append(contentsOf: layer.assignments[document * E..<(document + 1) * E])
            values.append(Double(count))
        }
        return values
    }

    /// How many layers are looked at.
    package var layerCount: Int { layers.count }

    /// Places of the groups that have enough documents.
    var largeGroups: [Int] { groups.indices.filter { sample.groups[$0].isLargeEnough } }

    /// A table of one layer by the settings' groups. Documents without a counted token are left out: resampling them
    /// would resample nothing.
    /// - Parameter perDocument: false where `values` is one row, the sum of all documents, because they are too many to keep
    ///   apart; what is computed from it has no interval.
    func table(columns: Int, values: [Double], perDocument: Bool = true) -> DocumentTable {
        guard perDocument else { return DocumentTable(columns: columns, groupCount: 1, group: [0], values: values) }
        let kept = groupOf.indices.filter { tokens[$0] > 0 }
        guard kept.count < groupOf.count else {
            return DocumentTable(
                columns: columns, groupCount: groups.count, group: groupOf, values: values, design: design)
        }
        return DocumentTable(
            columns: columns, groupCount: groups.count, group: kept.map { groupOf[$0] },
            values: kept.flatMap { values[$0 * columns..<($0 + 1) * columns] }, design: design.restricted(to: kept))
    }

    /// Random streams of a metric and layer: metrics share none.
    func stream(_ metric: some StringProtocol, _ layer: LayerCounts, _ part: Int = 0) -> UInt64 {
        // FNV-1a; Swift's own hashing differs from run to run.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in metric.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash &+ UInt64(layer.layer) &* 1_000_003 &+ UInt64(part) &* 7_919
    }

    private static func groupNames(_ documents: [TraceDocument], by grouping: MetricSettings.Grouping) -> [String] {
        switch grouping {
        case .group: return documents.map(\.group)
        case .length:
            let sorted = documents.map(\.tokens).sorted()
            let limits = [1, 2, 3].map { sorted[min(sorted.count - 1, sorted.count * $0 / 4)] }
            return documents.map { document in
                switch document.tokens {
                case ..<limits[0]: "quarter 1: below \(limits[0]) tokens"
                case ..<limits[1]: "quarter 2: \(limits[0]) to \(limits[1] - 1) tokens"
                case ..<limits[2]: "quarter 3: \(limits[1]) to \(limits[2] - 1) tokens"
                default: "quarter 4: \(limits[2]) tokens or more"
                }
            }
        }
    }
}
