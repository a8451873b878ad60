import Foundation
import Traces

extension PathMetric {
    /// Reads the shards again: a path needs the same token's experts in every layer at once, and the first pass goes layer by layer.
    /// - Throws: where fewer than two layers were captured.
    public static func compute(_ input: MetricInput) throws(MetricError) -> PathMetric {
        try input.need(.order, .tokens, for: definition.name)
        guard input.layers.count > 1 else {
            throw MetricError(definition.name, "expected two layers or more, found \(input.layers.count)")
        }
        let E = input.sample.experts
        let D = input.trace.documents.count
        let gaps = input.layers.count - 1
        // A row per document where that fits, else one row for all.
        let perDocument = D * gaps * E * E <= MetricInput.pairBudget
        let rowCount = perDocument ? D : 1
        var counts = [[Double]](repeating: [Double](repeating: 0, count: rowCount * E * E), count: gaps)
        var paths = PathCounter(experts: E, layers: input.layers.count)
        var chosen = [[UInt16]](repeating: [], count: input.layers.count)
        let K = input.sample.expertsPerToken
        try input.forEachShard(definition.name) { shard in
            for (place, layer) in input.layers.enumerated() {
                shard.readExpertIndices(layerIndex: layer.layerIndex, into: &chosen[place])
            }
            for document in shard.documents {
                let table = perDocument ? document.index * E * E : 0
                for gap in 0..<gaps {
                    for row in input.rows(document) {
                        let (a, b) = (Int(chosen[gap][row * K]), Int(chosen[gap + 1][row * K]))
                        if a < E, b < E { counts[gap][table + a * E + b] += 1 }
                    }
                }
                for row in input.rows(document) { paths.add { Int(chosen[$0][row * K]) } }
            }
        }
        let (transitions, layers) = neighbours(input, counts: counts, perDocument: perDocument)
        return PathMetric(
            sample: input.sample, transitions: transitions, layers: layers, paths: try frequent(input, paths),
            isApproximate: paths.isApproximate)
    }

    /// Bits that the next layer's first choices tell about this one's where each document's are in a random order.
    private static func documentChance(_ input: MetricInput, _ layer: LayerCounts, _ next: LayerCounts) -> Double {
        let E = layer.experts
        var table = [Double](repeating: 0, count: E * E)
        for document in input.tokens.indices where input.tokens[document] > 0 {
            for a in 0..<E where layer.firsts[document * E + a] > 0 {
                let share = layer.firsts[document * E + a] / Double(input.tokens[document])
                for b in 0..<E { table[a * E + b] += share * next.firsts[document * E + b] }
            }
        }
        return table.withUnsafeBufferPointer { TableInformation($0, rows: E, columns: E).plugIn } / log(2.0)
    }

    private static func neighbours(
        _ input: MetricInput, counts: [[Double]], perDocument: Bool
    ) -> ([Transition], [Layer]) {
        let E = input.sample.experts
        var transitions: [Transition] = []
        var layers: [Layer] = []
        let gaps = counts.count
        for gap in counts.indices {
            let (layer, next) = (input.layers[gap], input.layers[gap + 1])
            let table = input.table(columns: E * E, values: counts[gap], perDocument: perDocument)
            let G = table.groupCount
            let bits = 1 / log(2.0)
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream(definition.name, layer), width: 4,
                interval: { _ in .debiased }
            ) { sums, results in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: E * E + 2 * E) { all in
                    all.initialize(repeating: 0)
                    for g in 0..<G {
                        for i in 0..<E * E {
                            all[i] += sums[g * E * E + i]
                            all[E * E + i / E] += sums[g * E * E + i]
                            all[E * E + E + i % E] += sums[g * E * E + i]
                        }
                    }
                    let information = TableInformation(UnsafeBufferPointer(all), rows: E, columns: E)
                    let least = min(
                        entropy(all[E * E..<E * E + E]), entropy(all[(E * E + E)...]))
                    for (place, value) in [information.plugIn, information.corrected].enumerated() {
                        results[2 * place] = value * bits
                        results[2 * place + 1] = least > 0 ? value / least : 0
                    }
                }
            }
            var sums = [Double](repeating: 0, count: E * E)
            for (i, count) in counts[gap].enumerated() { sums[i % (E * E)] += count }
            // No correction helps a table whose pairs were seen once or twice: it looks full of information.
            let isEnough = sums.reduce(0, +) >= Double(tokensPerPair * sums.count { $0 > 0 })
            layers.append(
                Layer(
                    layer: layer.layer, nextLayer: next.layer,
                    information: isEnough
                        ? bootstrap.estimate(
                            0, value: max(0, bootstrap.values[2]), within: 0...Double.infinity, among: gaps) : nil,
                    share: isEnough
                        ? bootstrap.estimate(1, value: max(0, bootstrap.values[3]), within: 0...1, among: gaps) : nil,
                    documentChance: documentChance(input, layer, next)))
            for a in 0..<E {
                let total = sums[a * E..<(a + 1) * E].reduce(0, +)
                for b in 0..<E {
                    transitions.append(
                        Transition(
                            layer: layer.layer, nextLayer: next.layer, expert: a, nextExpert: b,
                            count: Int(sums[a * E + b]),
                            share: total > 0 ? sums[a * E + b] / total : 0))
                }
            }
        }
        return (transitions, layers)
    }

    /// The paths taken most, and by which tokens. Reads the shards again, for these paths only.
    private static func frequent(_ input: MetricInput, _ paths: PathCounter) throws(MetricError) -> [Path] {
        let E = input.sample.experts
        let pooled = input.layers.map { layer in
            var sums = [Double](repeating: 0, count: E)
            for (i, count) in layer.firsts.enumerated() { sums[i % E] += count }
            let total = max(1, sums.reduce(0, +))
            return sums.map { $0 / total }
        }
        let found = paths.mostFrequent(pathsShown)
        let (tokens, documents) = try counts(input, found.map(\.experts))
        let expected = found.map { path in input.tokens.indices.map { independent(input, path.experts, $0) } }
        let ratios = ratios(input, documents, expected)
        let text = try? input.trace.tokenText()
        let total = Double(max(1, paths.total))
        return found.indices.map { place in
            let (experts, count) = found[place]
            let most = tokens[place].max { ($0.value, $1.key) < ($1.value, $0.key) }
            let seen = tokens[place].values.reduce(0, +)
            return Path(
                rank: place + 1, experts: experts, count: count, share: Double(count) / total,
                independent: expected[place].reduce(0, +) / total, ratio: ratios[place],
                pooledIndependent: zip(pooled, experts).reduce(1) { $0 * ($1.1 < E ? $1.0[$1.1] : 0) },
                token: Int(most?.key ?? -1), tokenText: most.flatMap { text?.alone($0.key) },
                tokenShare: Double(most?.value ?? 0) / Double(max(1, seen)))
        }
    }

    /// Tokens of a document that would take a path if its layers were independent.
    private static func independent(_ input: MetricInput, _ path: [Int], _ document: Int) -> Double {
        guard input.tokens[document] > 0 else { return 0 }
        let E = input.sample.experts
        let n = Double(input.tokens[document])
        return zip(input.layers, path).reduce(n) { share, choice in
            choice.1 < E ? share * choice.0.firsts[document * E + choice.1] / n : 0
        }
    }

    /// How many times as many tokens take each path as if layers were independent within documents.
    /// - Parameters:
    ///   - counts: of each path and document.
    ///   - expected: the same, of independent layers.
    private static func ratios(_ input: MetricInput, _ counts: [[Double]], _ expected: [[Double]]) -> [Estimate?] {
        let (P, D) = (counts.count, input.tokens.count)
        guard P > 0, 2 * P * D <= MetricInput.pairBudget else { return Array(repeating: nil, count: P) }
        var values: [Double] = []
        values.reserveCapacity(2 * P * D)
        for document in 0..<D {
            for path in 0..<P { values += [counts[path][document], expected[path][document]] }
        }
        let table = input.table(columns: 2 * P, values: values)
        let G = table.groupCount
        let bootstrap = Bootstrap(
            table, settings: input.settings, stream: input.stream(definition.name, input.layers[0], 1), width: P
        ) { sums, results in
            for path in 0..<P {
                var (found, chance) = (0.0, 0.0)
                for g in 0..<G {
                    found += sums[2 * (g * P + path)]
                    chance += sums[2 * (g * P + path) + 1]
                }
                results[path] = chance > 0 ? found / chance : .nan
            }
        }
        return (0..<P).map {
            bootstrap.values[$0].isFinite ? bootstrap.estimate($0, within: 0...Double.infinity, among: P) : nil
        }
    }

    /// Input tokens of each of some paths, and how many tokens of each document take it.
    private static func counts(
        _ input: MetricInput, _ paths: [[Int]]
    ) throws(MetricError) -> (tokens: [[Int32: Int]], documents: [[Double]]) {
        let (E, K) = (input.sample.experts, input.sample.expertsPerToken)
        // Paths by their first expert: most tokens are done after a look at one or two layers.
        var byFirst = [[Int]](repeating: [], count: E + 1)
        for (place, path) in paths.enumerated() { byFirst[path[0]].append(place) }
        var counts = [[Int32: Int]](repeating: [:], count: paths.count)
        var documents = [[Double]](
            repeating: [Double](repeating: 0, count: input.tokens.count), count: paths.count)
        var chosen = [[UInt16]](repeating: [], count: input.layers.count)
        try input.forEachShard(definition.name) { shard in
            for (place, layer) in input.layers.enumerated() {
                shard.readExpertIndices(layerIndex: layer.layerIndex, into: &chosen[place])
            }
            for document in shard.documents {
                for row in input.rows(document) {
                    let place = byFirst[min(Int(chosen[0][row * K]), E)].first { place in
                        paths[place].indices.allSatisfy { min(Int(chosen[$0][row * K]), E) == paths[place][$0] }
                    }
                    if let place {
                        counts[place][shard.token[row], default: 0] += 1
                        documents[place][document.index] += 1
                    }
                }
            }
        }
        return (counts, documents)
    }
}

/// Counts sequences of experts in bounded memory: where there are too many different ones, those seen least are dropped.
private struct PathCounter {
    let experts: Int
    let layers: Int
    private(set) var total = 0
    private(set) var isApproximate = false
    private var counts: [[UInt16]: Int] = [:]
    private var packed: [UInt64: Int] = [:]
    private let isPacked: Bool

    /// Different paths held at once.
    static let limit = 1_000_000

    init(experts: Int, layers: Int) {
        self.experts = experts
        self.layers = layers
        // Base E + 1: one digit more for "no expert".
        isPacked = Double(layers) * log2(Double(experts + 1)) < 63
    }

    mutating func add(_ expert: (Int) -> Int) {
        total += 1
        if isPacked {
            var key: UInt64 = 0
            for layer in 0..<layers { key = key * UInt64(experts + 1) + UInt64(min(expert(layer), experts)) }
            packed[key, default: 0] += 1
            if packed.count > Self.limit { Self.prune(&packed, &isApproximate) }
        } else {
            counts[(0..<layers).map { UInt16(min(expert($0), experts)) }, default: 0] += 1
            if counts.count > Self.limit { Self.prune(&counts, &isApproximate) }
        }
    }

    private static func prune<Key>(_ counts: inout [Key: Int], _ isApproximate: inout Bool) {
        isApproximate = true
        var least = 1
        while counts.count > limit / 2 {
            counts = counts.filter { $0.value > least }
            least *= 2
        }
    }

    func mostFrequent(_ count: Int) -> [(experts: [Int], count: Int)] {
        let all: [(experts: [Int], count: Int)] =
            isPacked
            ? packed.map { key, count in
                var rest = key
                var path: [Int] = []
                for _ in 0..<layers {
                    path.append(Int(rest % UInt64(experts + 1)))
                    rest /= UInt64(experts + 1)
                }
                return (path.reversed(), count)
            } : counts.map { ($0.key.map(Int.init), $0.value) }
        return Array(
            all.sorted { $0.count != $1.count ? $0.count > $1.count : $0.experts.lexicographicallyPrecedes($1.experts) }
                .prefix(count))
    }
}
