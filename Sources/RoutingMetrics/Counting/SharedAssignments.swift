import Foundation
import Tensors
import Traces

/// The token ids that at least two groups use often enough.
struct SharedTokens {
    private let number: TokenNumbering
    /// For each numbered token id, its place among the shared ones, or -1.
    private let place: [Int32]
    let count: Int
    /// For each document of the trace, its group's place among the compared ones; -1 where it is not looked at.
    let groupOf: [Int]
    let groupCount: Int

    /// Reads the shards again: which tokens groups share is known only when all are seen, and it decides what is counted.
    init(_ input: MetricInput, _ groups: [Int]) throws(MetricError) {
        let groupPlace = Dictionary(uniqueKeysWithValues: groups.enumerated().map { ($1, $0) })
        let budget = WithinTokenMetric.assignmentBudget
        let isTaken = input.everyNth(max(1, (input.sample.tokens * input.sample.expertsPerToken - 1) / budget + 1))
        let groupOf = input.groupOf.indices.map { isTaken[$0] ? groupPlace[input.groupOf[$0]] ?? -1 : -1 }
        let metric = WithinTokenMetric.definition.name
        let number = try TokenNumbering(input, metric) { groupOf[$0.index] >= 0 }
        let V = number.ids.count
        var counts = [Int32](repeating: 0, count: V * groups.count)
        try input.forEachShard(metric) { shard in
            for document in shard.documents where groupOf[document.index] >= 0 {
                for row in input.rows(document) {
                    guard let token = number(shard.token[row]) else { continue }
                    counts[groupOf[document.index] * V + token] += 1
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
        self.number = number
        self.place = place
        self.count = count
        self.groupOf = groupOf
        groupCount = groups.count
    }

    /// The place of a token id among the shared ones; nil where groups do not share it.
    func place(of id: Int32) -> Int? {
        guard let number = number(id), place[number] >= 0 else { return nil }
        return Int(place[number])
    }
}

/// The assignments of shared tokens in one layer: what a relabelling of documents is counted over.
///
/// For each token its documents, and for each of these all experts' counts: a permutation asks for a document's label once
/// per token, and adds whole vectors.
struct SharedAssignments {
    /// Counts of eight experts. Floats hold integers to 2²⁴, more than the budget of assignments.
    private typealias Counts = SIMD8<Float>

    let layer: Int
    let experts: Int
    let groupCount: Int
    /// Assignments in all.
    let count: Int
    /// Documents that take part, renumbered, and their groups.
    let group: [Int]
    let design: SamplingDesign
    /// Where each token's runs start; one more than tokens.
    private let runStarts: [Int]
    /// The document of each run.
    private let document: [Int32]
    /// Vectors that hold the counts of all experts: `counts` has this many for each run.
    private let width: Int
    private let counts: [Counts]

    /// Reads the shards again, one layer at a time: the assignments of all layers together may not fit memory.
    init(_ input: MetricInput, _ layer: LayerCounts, _ shared: SharedTokens) throws(MetricError) {
        let E = layer.experts
        let K = layer.slots
        let documents = shared.groupOf.indices.filter { shared.groupOf[$0] >= 0 }
        var number = [Int32](repeating: -1, count: shared.groupOf.count)
        for (new, old) in documents.enumerated() { number[old] = Int32(new) }
        var chosen: [UInt16] = []
        // One key per assignment, token before document before expert; sorted, equal ones are neighbours.
        var keys: [UInt64] = []
        try input.forEachShard(WithinTokenMetric.definition.name) { shard in
            shard.readExpertIndices(layerIndex: layer.layerIndex, into: &chosen)
            for item in shard.documents where number[item.index] >= 0 {
                let owner = UInt64(number[item.index]) << 16
                for row in input.rows(item) {
                    guard let place = shared.place(of: shard.token[row]) else { continue }
                    let start = UInt64(place) << 40 | owner
                    for slot in row * K..<(row + 1) * K where Int(chosen[slot]) < E {
                        keys.append(start | UInt64(chosen[slot]))
                    }
                }
            }
        }
        keys.sort()
        var runStarts = [Int](repeating: 0, count: shared.count + 1)
        let width = (E + Counts.scalarCount - 1) / Counts.scalarCount
        var document: [Int32] = []
        var counts: [Counts] = []
        var run: UInt64?
        for key in keys {
            if run != key >> 16 {
                run = key >> 16
                document.append(Int32(truncatingIfNeeded: key >> 16 & 0xff_ffff))
                counts.append(contentsOf: repeatElement(.zero, count: width))
                runStarts[Int(key >> 40) + 1] += 1
            }
            let expert = Int(key & 0xffff)
            counts[counts.count - width + expert / Counts.scalarCount][expert % Counts.scalarCount] += 1
        }
        for token in 1..<runStarts.count { runStarts[token] += runStarts[token - 1] }
        self.layer = layer.layer
        self.experts = E
        groupCount = shared.groupCount
        count = keys.count
        group = documents.map { shared.groupOf[$0] }
        design = input.design.restricted(to: documents)
        self.runStarts = runStarts
        self.document = document
        self.width = width
        self.counts = counts
    }

    func summary(_ settings: MetricSettings, stream: UInt64) -> WithinTokenMetric.Layer {
        let everyOne = [Int32](repeating: 1, count: group.count)
        let observed = information(labels: group, drawn: everyOne, isWhole: true)
        let strata = DocumentTable(
            columns: 0, groupCount: groupCount, group: group, values: [], design: design
        ).strata
        let exchange = LabelExchange(labels: group, design: design)
        let null = Parallel.rows(settings.permutations, width: 1, threads: settings.threads) { permutation, result in
            let labels = exchange(seed: settings.seed, stream: stream, permutation: permutation)
            result[0] = information(labels: labels, drawn: everyOne).within.corrected
        }
        let replicates = Parallel.rows(settings.bootstrap, width: 1, threads: settings.threads) { replicate, result in
            let drawn = Bootstrap.draw(strata, seed: settings.seed, stream: stream, replicate: replicate)
            result[0] = information(labels: group, drawn: design.resampled.map { drawn[$0] }).within.plugIn
        }
        let conditional = observed.within.corrected
        let bits = 1 / log(2.0)
        var within = Estimate(conditional * bits)
        if replicates.count > 1 {
            let plugIn = observed.within.plugIn
            let bootstrap = Bootstrap(
                value: plugIn, replicates: replicates, interval: .debiased, sizes: strata.strata.map(\.count),
                level: settings.level)
            within = bootstrap.estimate(0, value: (plugIn - bootstrap.bias(0)) * bits, within: 0...Double.infinity) {
                $0 * bits
            }
        }
        return WithinTokenMetric.Layer(
            layer: layer, documents: group.count, tokenIds: runStarts.count - 1, assignments: count,
            information: observed.all * bits, conditional: conditional * bits, within: within,
            nullMean: null.isEmpty ? 0 : null.reduce(0, +) / Double(null.count) * bits,
            pValue: nil, adjustedP: nil, permutations: settings.permutations, bootstrap: settings.bootstrap)
    }

    /// What documents do beyond their tokens: Σ_x n(d,x,e) − n(d,x) n(x,e)/n(x) for every expert, the score of a test stratified by token
    /// (Mantel & Haenszel 1959; Landis, Heyman & Koch 1978); then the document's assignments. [D, E + 1]. And the
    /// variance of one assignment's residual where its token alone decides. [E]
    func residuals() -> (table: DocumentTable, noise: [Double]) {
        let C = experts + 1
        var values = [Double](repeating: 0, count: group.count * C)
        var noise = [Double](repeating: 0, count: experts)
        for token in 0..<runStarts.count - 1 {
            let runs = runStarts[token]..<runStarts[token + 1]
            var all = [Double](repeating: 0, count: experts)
            for run in runs { for e in 0..<experts { all[e] += count(run, e) } }
            let total = all.reduce(0, +)
            guard total > 0 else { continue }
            for e in 0..<experts { noise[e] += all[e] * (1 - all[e] / total) / Double(max(1, count)) }
            for run in runs {
                let start = Int(document[run]) * C
                var own = 0.0
                for e in 0..<experts { own += count(run, e) }
                for e in 0..<experts { values[start + e] += count(run, e) - own * all[e] / total }
                values[start + experts] += own
            }
        }
        let table = DocumentTable(columns: C, groupCount: groupCount, group: group, values: values, design: design)
        return (table, noise)
    }

    private func count(_ run: Int, _ expert: Int) -> Double {
        Double(counts[run * width + expert / Counts.scalarCount][expert % Counts.scalarCount])
    }

    /// I(G;E|X), as the counts are and Miller–Madow corrected, and I(G;E), corrected; nats.
    /// - Parameter isWhole: whether I(G;E) is wanted; else it is 0.
    private func information(
        labels: [Int], drawn: [Int32], isWhole: Bool = false
    ) -> (within: (plugIn: Double, corrected: Double), all: Double) {
        let columns = width * Counts.scalarCount
        let size = groupCount * columns
        return withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * size) { tables in
            tables.initialize(repeating: 0)
            let table = UnsafeMutableBufferPointer(rebasing: tables[0..<size])
            let all = UnsafeMutableBufferPointer(rebasing: tables[size...])
            var total = 0.0
            var (plugIn, corrected) = (0.0, 0.0)
            for token in 0..<runStarts.count - 1 {
                fill(table, token: token, labels: labels, drawn: drawn)
                // Columns beyond the experts are empty, and do not count.
                let information = TableInformation(UnsafeBufferPointer(table), rows: groupCount, columns: columns)
                let weight = information.total
                guard weight > 0 else { continue }
                if isWhole { for i in 0..<size { all[i] += table[i] } }
                plugIn += weight * information.plugIn
                corrected += weight * information.corrected
                total += weight
            }
            let everything = TableInformation(UnsafeBufferPointer(all), rows: groupCount, columns: columns)
            let tokens = max(1, total)
            return ((plugIn / tokens, corrected / tokens), everything.corrected)
        }
    }

    /// A token's table under these labels, every document as often as it was drawn; experts padded to whole vectors.
    private func fill(_ table: UnsafeMutableBufferPointer<Double>, token: Int, labels: [Int], drawn: [Int32]) {
        withUnsafeTemporaryAllocation(of: Counts.self, capacity: groupCount * width) { sums in
            sums.initialize(repeating: .zero)
            document.withUnsafeBufferPointer { document in
                counts.withUnsafeBufferPointer { counts in
                    labels.withUnsafeBufferPointer { labels in
                        drawn.withUnsafeBufferPointer { drawn in
                            for run in runStarts[token]..<runStarts[token + 1] {
                                let owner = Int(document[run])
                                let times = Float(drawn[owner])
                                let row = labels[owner] &* width
                                for k in 0..<width { sums[row &+ k] += times * counts[run &* width &+ k] }
                            }
                        }
                    }
                }
            }
            for (i, vector) in sums.enumerated() {
                for k in 0..<Counts.scalarCount { table[i * Counts.scalarCount + k] = Double(vector[k]) }
            }
        }
    }
}
