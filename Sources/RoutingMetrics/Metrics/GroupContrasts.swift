/// Every group's use of every expert against the other groups': the one comparison that all metrics of groups and experts quote.
struct GroupContrasts: Sendable {
    /// By layer, in the order of `MetricInput.layers`; groups by their place in `MetricInput.groups`.
    let test: ContrastTest
    /// The compared groups, by their place in `MetricInput.groups`.
    let groups: [Int]

    /// - Parameter group: a place in `MetricInput.groups`.
    /// - Returns: a cell per expert; nil where the group is not compared.
    func cells(layer: Int, group: Int) -> [ContrastTest.Cell]? {
        guard let place = groups.firstIndex(of: group) else { return nil }
        return test.cells[layer][place]
    }

    /// The cell that is most a group's own, of those that are found: see `SpecialistMetric`.
    func specialist(
        of group: Int, settings: MetricSettings
    ) -> (layer: Int, expert: Int, cell: ContrastTest.Cell)? {
        var best: (layer: Int, expert: Int, cell: ContrastTest.Cell)?
        var highest = -Double.infinity
        for layer in test.cells.indices {
            for (expert, cell) in (cells(layer: layer, group: group) ?? []).enumerated()
            where cell.adjustedP < 1 - settings.level && cell.z > 0 {
                let lower = cell.simultaneous(level: settings.level, count: test.count).logOdds.lower ?? -.infinity
                if lower > highest {
                    best = (layer, expert, cell)
                    highest = lower
                }
            }
        }
        return best
    }
}

extension MetricInput {
    /// Why a group cannot be compared with others, where its documents come from too few sources that are its own; by the group's place.
    var confounded: [Int: String] {
        // Documents of each unit of each group.
        var units: [Int: [Int: Int]] = [:]
        var isBlocked: Set<Int> = []
        for document in groupOf.indices where tokens[document] > 0 {
            let group = groupOf[document]
            if design.block[document] >= 0 { isBlocked.insert(group) }
            units[group, default: [:]][design.unit[document], default: 0] += 1
        }
        var reasons: [Int: String] = [:]
        for group in largeGroups where !isBlocked.contains(group) {
            let sizes = (units[group] ?? [:]).values.sorted(by: >)
            let count = sizes.reduce(0, +)
            guard sizes.count < count else { continue }
            // Kish's number of clusters of equal size that tell as much.
            let effective = Double(count * count) / Double(sizes.reduce(0) { $0 + $1 * $1 })
            if sizes.count < SamplingDesign.fewestClusters {
                reasons[group] =
                    "its documents are of \(sizes.count == 1 ? "one cluster" : "\(sizes.count) clusters"): the group and its clusters "
                    + "cannot be told apart; \(SamplingDesign.fewestClusters) clusters are needed"
            } else if effective < SamplingDesign.fewestEffectiveClusters {
                reasons[group] =
                    "\(sizes[0]) of its \(count) documents are of one cluster: the group and this cluster cannot be told apart"
            }
        }
        return reasons
    }

    /// The groups that can be compared: those with enough documents, and with enough clusters where documents have them.
    var comparableGroups: [Int] {
        let confounded = confounded
        let groups = largeGroups.filter { confounded[$0] == nil }
        return groups.count > 1 ? groups : []
    }

    var contrasts: GroupContrasts {
        knownContrasts.value {
            let groups = comparableGroups
            return GroupContrasts(test: contrastTest(groups, targets: Array(groups.indices)), groups: groups)
        }
    }

    /// Compares some groups' shares of assignments, in every layer.
    /// - Parameter targets: the groups to compare with the others, as places in `groups`.
    func contrastTest(_ groups: [Int], targets: [Int], stream: UInt64 = 0) -> ContrastTest {
        ContrastTest(contrastTables(groups), targets: targets, settings: settings, stream: stream)
    }

    /// Assignments to every expert, and in all, of the documents of some groups; one table per layer.
    /// - Parameter isKept: of these documents, by their index in the trace, the ones wanted.
    func contrastTables(_ groups: [Int], where isKept: (Int) -> Bool = { _ in true }) -> [DocumentTable] {
        let E = sample.experts
        var place = [Int](repeating: -1, count: self.groups.count)
        for (new, old) in groups.enumerated() { place[old] = new }
        let documents = groupOf.indices.filter { tokens[$0] > 0 && place[groupOf[$0]] >= 0 && isKept($0) }
        let group = documents.map { place[groupOf[$0]] }
        let design = design.restricted(to: documents)
        return layers.map { layer in
            var values: [Double] = []
            values.reserveCapacity(documents.count * (E + 1))
            for document in documents {
                let row = layer.assignments[document * E..<(document + 1) * E]
                values.append(contentsOf: row)
                values.append(row.reduce(0, +))
            }
            return DocumentTable(
                columns: E + 1, groupCount: groups.count, group: group, values: values, design: design)
        }
    }
}
