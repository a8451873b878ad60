/// Experts that a group's tokens meet clearly more, or less, often than those of a reference.
public struct TaskExpertMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "task-experts", title: "Task experts",
        formula:
            "Δ_e = n(g,e)/N_g − n(r,e)/N_r; A⁺ = {Δ > τ}, A⁻ = {Δ < −τ}; r: the reference group, or all other groups",
        source: "Multilingual routing in mixture-of-experts (arXiv 2510.04694)")

    public struct Row: Codable, Sendable, Equatable {
        public var layer: Int
        public var group: String
        /// Name of the reference group, or "others".
        public var reference: String
        public var expert: Int
        public var difference: Estimate
        /// "+" in A⁺, "-" in A⁻, "" in neither.
        public var side: String
        /// That the shares of assignments of group and reference differ, two-sided; as in "association". nil where the group cannot be
        /// compared.
        public var pValue: Double?
        /// The same for all rows together.
        public var adjustedP: Double?
    }

    public var sample: MetricSample
    /// By layer, group, expert.
    public var rows: [Row]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Difference of expert frequencies from the reference",
                columns: [
                    .layer, .group, MetricColumn("reference", .text, "what the group is compared with"), .expert,
                ] + MetricColumn.estimate("difference", "n(g,e)/N_g less the reference's")
                    + [MetricColumn("side", .text, "+ above τ, - below −τ"), .pValue, .adjustedP],
                rows: rows.map {
                    [.integer($0.layer), .text($0.group), .text($0.reference), .integer($0.expert)]
                        + $0.difference.cells
                        + [$0.side.isEmpty ? .missing : .text($0.side), .optional($0.pValue), .optional($0.adjustedP)]
                })
        ]
    }

    /// - Throws: where fewer than two groups have enough documents, or the reference is none of them.
    public static func compute(_ input: MetricInput) throws(MetricError) -> TaskExpertMetric {
        let groups = try input.groupsToCompare(definition.name)
        let E = input.sample.experts
        let C = E + 1
        let names = groups.map { input.groups[$0] }
        let reference = input.settings.reference
        if let reference, !names.contains(reference) {
            throw MetricError(
                definition.name,
                "no group \"\(reference)\" with enough documents; there are \(names.joined(separator: ", "))")
        }
        let comparable = input.comparableGroups
        let named = reference.flatMap { name in groups.first { input.groups[$0] == name } }
        var pairs: [Int: ContrastTest] = [:]
        if let named, comparable.contains(named) {
            for group in comparable where group != named {
                pairs[group] = input.contrastTest([group, named], targets: [0], stream: UInt64(group + 1))
            }
        }
        let tests = pairs
        let contrasts = named == nil ? input.contrasts : nil
        let cells: @Sendable (_ layer: Int, _ group: Int) -> [ContrastTest.Cell]? = { layer, group in
            if let contrasts { return contrasts.cells(layer: layer, group: group) }
            // The tests of each group hold for it alone; Bonferroni for all of them.
            return tests[group]?.cells[layer][0]?.map {
                var cell = $0
                cell.adjustedP = min(1, $0.adjustedP * Double(tests.count))
                return cell
            }
        }
        let rows = input.perLayer { layerPlace, layer, settings -> [Row] in
            var rows: [Row] = []
            let table = input.table(columns: C, values: input.assignmentsWithTokens(layer))
            for (place, group) in groups.enumerated() where names[place] != reference {
                // Two rows: the group, and what it is compared with.
                let others = groups.filter { $0 != group && (reference == nil || input.groups[$0] == reference) }
                let compared = table.restricted(to: [group] + others).merged { $0 == 0 ? 0 : 1 }
                let statistic: TableStatistic = { sums, results in
                    for e in 0..<E {
                        results[e] =
                            (sums[E] > 0 ? sums[e] / sums[E] : 0) - (sums[C + E] > 0 ? sums[C + e] / sums[C + E] : 0)
                    }
                }
                let stream = input.stream(definition.name, layer, place)
                let bootstrap = Bootstrap(compared, settings: settings, stream: stream, width: E, statistic)
                let found = cells(layerPlace, group)
                for e in 0..<E {
                    let value = bootstrap.values[e]
                    rows.append(
                        Row(
                            layer: layer.layer, group: names[place], reference: reference ?? "others", expert: e,
                            difference: bootstrap.estimate(e),
                            side: value > input.settings.threshold ? "+" : value < -input.settings.threshold ? "-" : "",
                            pValue: found?[e].pValue, adjustedP: found?[e].adjustedP))
                }
            }
            return rows
        }
        return TaskExpertMetric(sample: input.sample, rows: rows.flatMap(\.self))
    }
}

extension DocumentTable {
    /// The same documents in two groups.
    func merged(_ place: (Int) -> Int) -> DocumentTable {
        DocumentTable(columns: columns, groupCount: 2, group: group.map(place), values: values, design: design)
    }
}
