extension RepetitionMetric {
    public static func compute(_ input: MetricInput) -> RepetitionMetric {
        let G = input.groups.count
        let E = input.sample.experts
        let K = input.sample.expertsPerToken
        typealias Column = LayerCounts.Repetition
        let C = Column.count
        let uniformAny = 1 - (0..<K).reduce(1.0) { $0 * Double(max(0, E - K - $1)) / Double(E - $1) }
        var rows: [Row] = []
        for layer in input.layers {
            let table = input.table(columns: C, values: layer.repetitions)
            // Row 0 is all groups together.
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream("repetition", layer), width: 2 * (G + 1)
            ) { sums, results in
                var all = (0.0, 0.0, 0.0)
                for g in 0..<G {
                    let pairs = sums[C * g + Column.pairs]
                    let (first, any) = (sums[C * g + Column.first], sums[C * g + Column.any])
                    results[2 * (g + 1)] = pairs > 0 ? first / pairs : 0
                    results[2 * (g + 1) + 1] = pairs > 0 ? any / pairs : 0
                    all = (all.0 + pairs, all.1 + first, all.2 + any)
                }
                results[0] = all.0 > 0 ? all.1 / all.0 : 0
                results[1] = all.0 > 0 ? all.2 / all.0 : 0
            }
            let sums = table.sums
            let chance = LoadChance(input, layer)
            for row in 0...G {
                let group = row - 1
                let members = row == 0 ? Array(0..<G) : [group]
                let documents = members.reduce(0) { $0 + input.sample.groups[$1].documents }
                let isLarge = row == 0 || input.sample.groups[group].isLargeEnough
                rows.append(
                    Row(
                        layer: layer.layer, group: row == 0 ? .pooled : .group(input.groups[group]),
                        documents: documents,
                        pairs: Int(members.reduce(0) { $0 + sums[C * $1 + Column.pairs] }),
                        first: isLarge ? bootstrap.estimate(2 * row) : nil,
                        any: isLarge ? bootstrap.estimate(2 * row + 1) : nil, chanceFirst: 1 / Double(E),
                        chanceAny: uniformAny, loadChanceFirst: chance.first(members),
                        loadChanceAny: chance.any(members)))
            }
        }
        return RepetitionMetric(sample: input.sample, rows: rows)
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

    private func sampled(_ groups: [Int]) -> Double {
        // Groups were sampled at strides of their own, so each pair of groups counts by the groups' sizes.
        let total = groups.reduce(0) { $0 + tokens[$1] }
        var chance = 0.0
        for a in groups {
            for b in groups where !setSample[a].isEmpty && !setSample[b].isEmpty {
                chance += tokens[a] / total * tokens[b] / total * meeting(setSample[a], setSample[b])
            }
        }
        return chance
    }

    private func meeting(_ a: [UInt16], _ b: [UInt16]) -> Double {
        let K = slots
        let words = (experts + 63) / 64
        func bits(_ sets: [UInt16]) -> [UInt64] {
            var result = [UInt64](repeating: 0, count: sets.count / K * words)
            for (i, expert) in sets.enumerated() where Int(expert) < experts {
                result[i / K * words + Int(expert) / 64] |= 1 << UInt64(expert % 64)
            }
            return result
        }
        // At most this many of each, so that the product stays small.
        let limit = 1000
        let (left, right) = (bits(a), bits(b))
        let (n, m) = (a.count / K, b.count / K)
        var meetings = 0
        var seen = 0
        for i in stride(from: 0, to: n, by: max(1, n / limit)) {
            for j in stride(from: 0, to: m, by: max(1, m / limit)) {
                seen += 1
                if (0..<words).contains(where: { left[i * words + $0] & right[j * words + $0] != 0 }) { meetings += 1 }
            }
        }
        return seen > 0 ? Double(meetings) / Double(seen) : 0
    }
}
