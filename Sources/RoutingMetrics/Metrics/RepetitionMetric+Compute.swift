extension RepetitionMetric {
    public static func compute(_ input: MetricInput) -> RepetitionMetric {
        let G = input.groups.count
        let isOrdered = input.trace.layout.hasChoiceOrder
        let E = input.sample.experts
        let K = input.sample.expertsPerToken
        let uniformAny = 1 - (0..<K).reduce(1.0) { $0 * Double(max(0, E - K - $1)) / Double(E - $1) }
        var rows = input.perLayer { _, layer, settings -> [Row] in
            var rows: [Row] = []
            let documents = ShuffledRepetition(input, layer)
            let C = ShuffledRepetition.columns
            let table = input.table(columns: C, values: documents.values)
            // Row 0 is all groups together. Per row: shares of first and any, then their ratios to chance.
            let bootstrap = Bootstrap(
                table, settings: settings, stream: input.stream("repetition", layer), width: 4 * (G + 1)
            ) { sums, results in
                for row in 0...G {
                    var own = [Double](repeating: 0, count: C)
                    for g in row == 0 ? 0..<G : row - 1..<row { for c in 0..<C { own[c] += sums[C * g + c] } }
                    for (place, kind) in ShuffledRepetition.kinds.enumerated() {
                        let (found, chance, pairs) = (
                            own[kind.observed], own[kind.chance], own[ShuffledRepetition.pairs]
                        )
                        results[4 * row + place] = pairs > 0 ? found / pairs : 0
                        results[4 * row + 2 + place] = chance > 0 ? found / chance : .nan
                    }
                }
            }
            let sums = table.sums
            let chance = LoadChance(input, layer)
            for row in 0...G {
                let group = row - 1
                let members = row == 0 ? Array(0..<G) : [group]
                let isLarge = row == 0 || input.sample.groups[group].isLargeEnough
                let pairs = members.reduce(0) { $0 + sums[C * $1 + ShuffledRepetition.pairs] }
                let shuffled = ShuffledRepetition.kinds.enumerated().map { place, kind -> ChanceComparison? in
                    let expected = members.reduce(0) { $0 + sums[C * $1 + kind.chance] }
                    guard isLarge, expected > 0 else { return nil }
                    return ChanceComparison(
                        expected: expected / pairs,
                        ratio: bootstrap.estimate(
                            4 * row + 2 + place, within: 0...Double.infinity, among: input.layers.count),
                        pValue: documents.test(kind, input, row == 0 ? nil : group)?.pValue)
                }
                rows.append(
                    Row(
                        layer: layer.layer, group: row == 0 ? .pooled : .group(input.groups[group]),
                        documents: members.reduce(0) { $0 + input.sample.groups[$1].documents }, pairs: Int(pairs),
                        first: isLarge && isOrdered ? bootstrap.estimate(4 * row, within: 0...1) : nil,
                        any: isLarge ? bootstrap.estimate(4 * row + 1, within: 0...1) : nil,
                        firstShuffled: isOrdered ? shuffled[0] : nil,
                        anyShuffled: shuffled[1], chanceFirst: 1 / Double(E), chanceAny: uniformAny,
                        loadChanceFirst: isOrdered ? chance.first(members) : nil, loadChanceAny: chance.any(members)))
            }
            return rows
        }.flatMap(\.self)
        let count = rows.count
        let adjusted = holm(rows.map { $0.firstShuffled?.pValue } + rows.map { $0.anyShuffled?.pValue })
        for place in rows.indices {
            rows[place].firstShuffled?.adjustedP = adjusted[place]
            rows[place].anyShuffled?.adjustedP = adjusted[count + place]
        }
        return RepetitionMetric(sample: input.sample, rows: rows)
    }
}

/// Repetitions of each document of a layer, beside those of a random order of its tokens.
private struct ShuffledRepetition {
    /// Columns of `values`.
    static let pairs = 0
    static let columns = 7

    struct Kind {
        let observed: Int
        /// Its mean in a random order.
        let chance: Int
        /// Its variance in a random order.
        let variance: Int
    }

    /// First choices, and any shared expert.
    static let kinds = [Kind(observed: 1, chance: 3, variance: 5), Kind(observed: 2, chance: 4, variance: 6)]

    /// [D, columns]
    let values: [Double]

    init(_ input: MetricInput, _ layer: LayerCounts) {
        typealias Column = LayerCounts.Repetition
        let E = layer.experts
        var values = [Double](repeating: 0, count: input.tokens.count * Self.columns)
        for document in input.tokens.indices where input.tokens[document] > 1 {
            let found = layer.repetitions[document * Column.count..<(document + 1) * Column.count]
            let column = { found[found.startIndex + $0] }
            let pairs = column(Column.pairs)
            let n = pairs + 1
            // Runs of several kinds, Mood (Annals of Mathematical Statistics 11, 1940): a repetition is a token that begins no run. Tokens without an
            // expert are kinds of their own, each of one token.
            var (squares, cubes) = (0.0, 0.0)
            var none = n
            for count in layer.firsts[document * E..<(document + 1) * E] {
                squares += count * count
                cubes += count * count * count
                none -= count
            }
            squares += none
            cubes += none
            let variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n * n * n) / (n * n * (n - 1))
            let shuffledAny = column(Column.shuffledAny)
            let row = [
                pairs, column(Column.first), column(Column.any), pairs * (squares - n) / (n * (n - 1)), shuffledAny,
                max(0, variance), max(0, shuffledAny * (1 - shuffledAny / pairs)),
            ]
            for (place, value) in row.enumerated() { values[document * Self.columns + place] = value }
        }
        self.values = values
    }

    /// - Parameter group: nil: all documents.
    func test(_ kind: Kind, _ input: MetricInput, _ group: Int?) -> ChanceTest? {
        let C = Self.columns
        let documents = input.groupOf.indices.filter { group == nil || input.groupOf[$0] == group }
        return ChanceTest(
            documents, leastVariance: documents.reduce(0) { $0 + values[C * $1 + kind.variance] }
        ) { document in
            (
                values[C * document + kind.observed] - values[C * document + kind.chance],
                values[C * document + Self.pairs]
            )
        }
    }
}

/// What two tokens drawn independently from some groups have in common.
private struct LoadChance {
    let experts: Int
    let slots: Int
    /// [G, E]
    let firsts: [Double]
    let assignments: [Double]
    /// [G, P]
    let pairs: [Double]
    let tokens: [Double]
    let setSample: [[UInt16]]

    init(_ input: MetricInput, _ layer: LayerCounts) {
        experts = layer.experts
        slots = layer.slots
        firsts = input.table(columns: layer.experts, values: layer.firsts).sums
        assignments = input.table(columns: layer.experts, values: layer.assignments).sums
        let columns = layer.experts * (layer.experts - 1) / 2
        pairs = layer.hasPairsPerDocument ? input.table(columns: columns, values: layer.pairs).sums : layer.pairs
        tokens = input.sample.groups.map { Double($0.tokens) }
        setSample = layer.setSample
    }

    /// Σ p_e², p the shares of first choices.
    func first(_ groups: [Int]) -> Double { squares(firsts, width: experts, groups, over: nil) }

    /// P(the sets share an expert). For K = 2, by inclusion and exclusion: Σ π_e² − Σ π_ij², π the share of tokens that
    /// choose the expert, or both experts; for more, the share among all pairs of an even sample of sets.
    func any(_ groups: [Int]) -> Double {
        let total = groups.reduce(0) { $0 + tokens[$1] }
        guard total > 0 else { return 0 }
        switch slots {
        case 1: return squares(assignments, width: experts, groups, over: total)
        case 2:
            return squares(assignments, width: experts, groups, over: total)
                - squares(pairs, width: experts * (experts - 1) / 2, groups, over: total)
        default: return sampled(groups)
        }
    }

    private func squares(_ counts: [Double], width: Int, _ groups: [Int], over total: Double?) -> Double {
        var sums = [Double](repeating: 0, count: width)
        for group in groups { for i in 0..<width { sums[i] += counts[group * width + i] } }
        let total = total ?? sums.reduce(0, +)
        return total > 0 ? sums.reduce(0) { $0 + ($1 / total) * ($1 / total) } : 0
    }

    /// Sets of one group, and of all groups together, that are compared with each other; of a group, some at least.
    private static let mostSets = 1000
    private static let allSets = 8000
    private static let fewestSets = 100

    private func sampled(_ groups: [Int]) -> Double {
        // Groups were sampled at strides of their own, so each pair of groups counts by the groups' sizes.
        let total = groups.reduce(0) { $0 + tokens[$1] }
        let limit = min(Self.mostSets, max(Self.fewestSets, Self.allSets / max(1, groups.count)))
        let sets = groups.map { SampledSets(setSample[$0], slots: slots, experts: experts, limit: limit) }
        // Two groups meet as often whichever is named first.
        var meetings = [Double](repeating: 0, count: groups.count * groups.count)
        for a in groups.indices {
            for b in a..<groups.count {
                let found = sets[a].meeting(sets[b])
                meetings[a * groups.count + b] = found
                meetings[b * groups.count + a] = found
            }
        }
        var chance = 0.0
        for (a, first) in groups.enumerated() {
            for (b, second) in groups.enumerated() where sets[a].count > 0 && sets[b].count > 0 {
                chance += tokens[first] / total * tokens[second] / total * meetings[a * groups.count + b]
            }
        }
        return chance
    }
}

/// Evenly spread sets of a group, at most some more than a limit; and for each expert, the sets that it is in.
private struct SampledSets {
    let count: Int
    private let slots: Int
    private let experts: Int
    /// [sets, K]
    private let chosen: [UInt16]
    /// Words of 64 sets.
    private let words: Int
    /// [E, words]: a bit per set.
    private let members: [UInt64]

    init(_ sets: [UInt16], slots: Int, experts: Int, limit: Int) {
        let given = sets.count / slots
        var chosen: [UInt16] = []
        for set in stride(from: 0, to: given, by: max(1, given / limit)) {
            chosen += sets[set * slots..<(set + 1) * slots]
        }
        let count = chosen.count / slots
        let words = (count + 63) / 64
        var members = [UInt64](repeating: 0, count: experts * words)
        for (place, expert) in chosen.enumerated() where Int(expert) < experts {
            let set = place / slots
            members[Int(expert) * words + set / 64] |= 1 << UInt64(set % 64)
        }
        (self.slots, self.experts, self.count, self.words) = (slots, experts, count, words)
        (self.chosen, self.members) = (chosen, members)
    }

    /// The share of pairs of sets, one of each, that have an expert in common.
    func meeting(_ other: SampledSets) -> Double {
        guard count > 0, other.count > 0 else { return 0 }
        var meetings = 0
        chosen.withUnsafeBufferPointer { chosen in
            other.members.withUnsafeBufferPointer { members in
                for set in 0..<count {
                    for word in 0..<other.words {
                        var met: UInt64 = 0
                        for slot in set &* slots..<(set &+ 1) &* slots where Int(chosen[slot]) < experts {
                            met |= members[Int(chosen[slot]) &* other.words &+ word]
                        }
                        meetings &+= met.nonzeroBitCount
                    }
                }
            }
        }
        return Double(meetings) / Double(count * other.count)
    }
}
