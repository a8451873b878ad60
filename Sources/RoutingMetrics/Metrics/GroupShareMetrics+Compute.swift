extension DomainShareMetric {
    public static func compute(_ input: MetricInput) -> DomainShareMetric {
        let E = input.sample.experts
        let rows = GroupExpertShare.compute(input, metric: definition.name, columns: E, denominator: .assignments)
        return DomainShareMetric(sample: input.sample, uniform: 1 / Double(E), rows: rows)
    }
}

extension SpecializationMetric {
    public static func compute(_ input: MetricInput) -> SpecializationMetric {
        let E = input.sample.experts
        // The tokens stand beside the experts as one more column.
        let rows = GroupExpertShare.compute(input, metric: definition.name, columns: E + 1, denominator: .tokens)
        return SpecializationMetric(
            sample: input.sample, uniform: Double(input.sample.expertsPerToken) / Double(E), rows: rows)
    }
}

extension GroupExpertShare {
    enum Denominator {
        case assignments
        case tokens
    }

    /// Rows by layer, group, expert, with intervals, and compared with the other groups.
    static func compute(
        _ input: MetricInput, metric: String, columns C: Int, denominator: Denominator
    ) -> [GroupExpertShare] {
        let E = input.sample.experts
        let large = input.largeGroups
        let contrasts = input.contrasts
        let confounded = input.confounded
        return input.perLayer { layerPlace, layer, settings -> [GroupExpertShare] in
            var rows: [GroupExpertShare] = []
            let values =
                denominator == .tokens ? input.assignmentsWithTokens(layer) : layer.assignments
            let table = input.table(columns: C, values: values)
            let G = large.count
            let kept = table.restricted(to: large)
            let bootstrap = Bootstrap(
                kept, settings: settings, stream: input.stream(metric, layer), width: G * E
            ) { sums, results in
                for g in 0..<G {
                    let total = Self.total(sums, g, E, C)
                    for e in 0..<E { results[g * E + e] = total > 0 ? sums[g * C + e] / total : 0 }
                }
            }
            let sums = table.sums
            for group in input.groups.indices {
                let place = large.firstIndex(of: group)
                let cells = contrasts.cells(layer: layerPlace, group: group)
                for e in 0..<E {
                    let cell = cells?[e]
                    rows.append(
                        GroupExpertShare(
                            layer: layer.layer, group: input.groups[group], expert: e,
                            documents: input.sample.groups[group].documents, tokens: input.sample.groups[group].tokens,
                            count: Int(sums[group * C + e]),
                            share: place.map { bootstrap.estimate($0 * E + e, within: 0...1) },
                            contrast: cell?.logOdds, elsewhere: cell?.rest, pValue: cell?.pValue,
                            adjustedP: cell?.adjustedP,
                            note: place == nil ? "too few documents" : confounded[group]))
                }
            }
            return rows
        }.flatMap(\.self)
    }

    /// The denominator of a group: its last column where it has one more than experts, else the sum of its assignments.
    private static func total(_ sums: UnsafeBufferPointer<Double>, _ group: Int, _ E: Int, _ C: Int) -> Double {
        if C > E { return sums[group * C + E] }
        var total = 0.0
        for e in 0..<E { total += sums[group * C + e] }
        return total
    }
}
