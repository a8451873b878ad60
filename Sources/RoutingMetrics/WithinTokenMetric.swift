import Foundation
import Traces

/// Does the router see the group, or only its spelling? Information about the group that is left when the token is known.
public struct WithinTokenMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "within-token", title: "Specialization within shared tokens",
        formula:
            "I(G;E|X) = Σ_x n(x)/N · I(G;E | X = x) over tokens x that two groups or more use at least the minimum count, "
            + "Miller–Madow corrected for every x, less the bootstrap's bias over documents; beside it I(G;E) of the same assignments",
        source: "conditional mutual information (Cover & Thomas, section 2.5); permutation null over documents")

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        /// Token ids shared by groups, and assignments of their occurrences.
        public var tokenIds: Int
        public var assignments: Int
        /// Bits: I(G;E) over these assignments, without regard to the token.
        public var information: Double
        /// Bits: I(G;E|X), Miller–Madow corrected for every token.
        public var conditional: Double
        /// Bits: the same less the bias that documents add, as the bootstrap sees it. Tokens of one document resemble each
        /// other, and a token that few documents use tells them apart; Miller–Madow knows nothing of documents.
        public var within: Estimate
        /// Bits: mean of I(G;E|X) over permuted labels.
        public var nullMean: Double
        public var pValue: Double
        public var qValue: Double
        /// Fewer than the settings ask for where the trace is large.
        public var permutations: Int
        public var bootstrap: Int
    }

    public var sample: MetricSample
    public var layers: [Layer]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Information about the group within shared tokens",
                columns: [
                    .layer, MetricColumn("token_ids", .integer, "token ids that groups share"),
                    MetricColumn("assignments", .integer, "assignments of their occurrences"),
                    MetricColumn("information", .real, unit: "bits", "I(group; expert) over these assignments"),
                    MetricColumn(
                        "conditional", .real, unit: "bits", "I(group; expert | token), Miller–Madow corrected"),
                ] + MetricColumn.estimate("within", unit: "bits", "conditional less the bootstrap's bias") + [
                    MetricColumn("null_mean", .real, unit: "bits", "mean over permuted group labels"), .pValue, .qValue,
                    MetricColumn("permutations", .integer, "permutations made"),
                    MetricColumn("bootstrap", .integer, "bootstrap replicates made"),
                ],
                rows: layers.map {
                    [
                        .integer($0.layer), .integer($0.tokenIds), .integer($0.assignments), .real($0.information),
                        .real($0.conditional),
                    ] + $0.within.cells + [
                        .real($0.nullMean), .real($0.pValue), .real($0.qValue), .integer($0.permutations),
                        .integer($0.bootstrap),
                    ]
                })
        ]
    }

    /// Assignments that permutations and replicates of one layer may visit.
    static let budget = 400_000_000

    /// - Throws: where fewer than two groups have enough documents, or groups share no token.
    public static func compute(_ input: MetricInput) throws(MetricError) -> WithinTokenMetric {
        let groups = try input.groupsToCompare(definition.name)
        let shared = try SharedTokens(input, groups)
        guard shared.count > 0 else {
            throw MetricError(
                definition.name, "no token that two groups use \(input.settings.minimumCount) times each",
                hint: "trace more documents")
        }
        var layers: [Layer] = []
        for layer in input.layers {
            let assignments = try SharedAssignments(input, layer, shared)
            var settings = input.settings
            let rounds = max(99, budget / max(1, assignments.expert.count))
            settings.permutations = min(settings.permutations, rounds)
            settings.bootstrap = min(settings.bootstrap, rounds)
            layers.append(assignments.layer(settings, stream: input.stream(definition.name, layer)))
        }
        for (index, q) in benjaminiHochberg(layers.map(\.pValue)).enumerated() { layers[index].qValue = q }
        return WithinTokenMetric(sample: input.sample, layers: layers)
    }
}

/// The token ids that at least two groups use often enough.
private struct SharedTokens {
    /// Of every token id, its place among the shared ones, or -1.
    let place: [Int32]
    let count: Int
    /// Of every document of the trace, its place among the compared groups, or -1.
    let groupOf: [Int]
    let groupCount: Int

    init(_ input: MetricInput, _ groups: [Int]) throws(MetricError) {
        let V = input.trace.manifest.model.vocabSize
        let groupPlace = Dictionary(uniqueKeysWithValues: groups.enumerated().map { ($1, $0) })
        let groupOf = input.groupOf.map { groupPlace[$0] ?? -1 }
        var counts = [Int32](repeating: 0, count: V * groups.count)
        try input.forEachShard(WithinTokenMetric.definition.name) { shard in
            for document in shard.documents where groupOf[document.index] >= 0 {
                for row in input.rows(document) where 0..<V ~= Int(shard.token[row]) {
                    counts[groupOf[document.index] * V + Int(shard.token[row])] += 1
                }
            }
        }
        var place = [Int32](repeating: -1, count: V)
        var count = 0
        let least = Int32(max(1, input.settings.minimumCount))
        for token in 0..<V {
            let users = groups.indices.reduce(0) { $0 + (counts[$1 * V + token] >= least ? 1 : 0) }
            if users > 1 {
                place[token] = Int32(count)
                count += 1
            }
        }
        self.place = place
        self.count = count
        self.groupOf = groupOf
        groupCount = groups.count
    }
}

/// The assignments of shared tokens in one layer, sorted by token: what a relabelling of documents is counted over.
private struct SharedAssignments {
    let layer: Int
    let experts: Int
    let groupCount: Int
    /// Documents that take part, renumbered, and their groups.
    let group: [Int]
    /// Where each token's assignments start; one more than tokens.
    let starts: [Int]
    /// Of each assignment, sorted by token.
    let document: [Int32]
    let expert: [UInt16]

    init(_ input: MetricInput, _ layer: LayerCounts, _ shared: SharedTokens) throws(MetricError) {
        let E = layer.experts
        let K = layer.slots
        let documents = shared.groupOf.indices.filter { shared.groupOf[$0] >= 0 && input.tokens[$0] > 0 }
        var number = [Int32](repeating: -1, count: shared.groupOf.count)
        for (new, old) in documents.enumerated() { number[old] = Int32(new) }
        var chosen: [UInt16] = []
        var sizes = [Int](repeating: 0, count: shared.count + 1)
        var places: [Int32] = []
        var owners: [Int32] = []
        var experts: [UInt16] = []
        try input.forEachShard(WithinTokenMetric.definition.name) { shard in
            shard.readExpertIndices(layerIndex: layer.layerIndex, into: &chosen)
            for item in shard.documents where number[item.index] >= 0 {
                for row in input.rows(item) {
                    let token = Int(shard.token[row])
                    guard shared.place.indices.contains(token), shared.place[token] >= 0 else { continue }
                    for slot in row * K..<(row + 1) * K where Int(chosen[slot]) < E {
                        places.append(shared.place[token])
                        owners.append(number[item.index])
                        experts.append(chosen[slot])
                        sizes[Int(shared.place[token]) + 1] += 1
                    }
                }
            }
        }
        for token in 1..<sizes.count { sizes[token] += sizes[token - 1] }
        starts = sizes
        var next = sizes
        var document = [Int32](repeating: 0, count: places.count)
        var expert = [UInt16](repeating: 0, count: places.count)
        for i in places.indices {
            let token = Int(places[i])
            document[next[token]] = owners[i]
            expert[next[token]] = experts[i]
            next[token] += 1
        }
        self.layer = layer.layer
        self.experts = E
        groupCount = shared.groupCount
        group = documents.map { shared.groupOf[$0] }
        self.document = document
        self.expert = expert
    }

    func layer(_ settings: MetricSettings, stream: UInt64) -> WithinTokenMetric.Layer {
        let everyOne = [Int32](repeating: 1, count: group.count)
        let observed = information(labels: group, drawn: everyOne)
        let strata = DocumentTable(columns: 0, groupCount: groupCount, group: group, values: []).strata
        let null = Parallel.rows(settings.permutations, width: 1, threads: settings.threads) { permutation, result in
            var generator = SeededGenerator(seed: ~settings.seed &+ stream, stream: UInt64(permutation))
            var labels = group
            for last in stride(from: labels.count - 1, to: 0, by: -1) { labels.swapAt(last, generator.below(last + 1)) }
            result[0] = information(labels: labels, drawn: everyOne).within
        }
        let replicates = Parallel.rows(settings.bootstrap, width: 1, threads: settings.threads) { replicate, result in
            let drawn = Bootstrap.draw(
                strata, of: group.count, seed: settings.seed, stream: stream, replicate: replicate)
            result[0] = information(labels: group, drawn: drawn).within
        }
        let least = observed.within - 1e-12 * abs(observed.within)
        let extreme = null.reduce(0) { $0 + ($1 >= least ? 1 : 0) }
        let bits = 1 / log(2.0)
        var within = Estimate(observed.within * bits)
        if replicates.count > 1 {
            let shift = Bootstrap.shift(replicates, from: observed.within)
            let sorted = replicates.sorted()
            within.value = (observed.within - shift / 2) * bits
            within.lower = (quantile(sorted, (1 - settings.level) / 2) - shift) * bits
            within.upper = (quantile(sorted, (1 + settings.level) / 2) - shift) * bits
        }
        return WithinTokenMetric.Layer(
            layer: layer, tokenIds: starts.count - 1, assignments: expert.count, information: observed.all * bits,
            conditional: observed.within * bits,
            within: within, nullMean: null.isEmpty ? 0 : null.reduce(0, +) / Double(null.count) * bits,
            pValue: Double(1 + extreme) / Double(1 + null.count), qValue: 1, permutations: settings.permutations,
            bootstrap: settings.bootstrap)
    }

    /// I(G;E|X) and I(G;E) in nats, corrected.
    private func information(labels: [Int], drawn: [Int32]) -> (within: Double, all: Double) {
        let size = groupCount * experts
        return withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * size) { tables in
            tables.initialize(repeating: 0)
            let table = UnsafeMutableBufferPointer(rebasing: tables[0..<size])
            let all = UnsafeMutableBufferPointer(rebasing: tables[size...])
            var total = 0.0
            var sum = 0.0
            document.withUnsafeBufferPointer { document in
                expert.withUnsafeBufferPointer { expert in
                    for token in 0..<starts.count - 1 {
                        for i in 0..<size { table[i] = 0 }
                        var weight = 0.0
                        for i in starts[token]..<starts[token + 1] {
                            let owner = Int(document[i])
                            let times = Double(drawn[owner])
                            table[labels[owner] * experts + Int(expert[i])] += times
                            weight += times
                        }
                        guard weight > 0 else { continue }
                        for i in 0..<size { all[i] += table[i] }
                        let information = TableInformation(
                            UnsafeBufferPointer(table), rows: groupCount, columns: experts)
                        sum += weight * information.corrected
                        total += weight
                    }
                }
            }
            let everything = TableInformation(UnsafeBufferPointer(all), rows: groupCount, columns: experts)
            return (total > 0 ? sum / total : 0, everything.corrected)
        }
    }
}
