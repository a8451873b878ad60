import Synchronization

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

    /// Whether the group matters in a layer at all: the smallest of its cells' p-values for the whole layer, and for all layers; nil
    /// where no group is compared.
    func layer(_ layer: Int) -> (pValue: Double, adjustedP: Double)? {
        let cells = test.cells[layer].compactMap(\.self).flatMap(\.self)
        guard let own = cells.map(\.tableP).min(), let all = cells.map(\.adjustedP).min() else { return nil }
        return (own, all)
    }
}

/// Computed when the first metric asks, and then kept.
final class GroupContrastsCache: Sendable {
    private let known = Mutex<GroupContrasts?>(nil)

    func value(_ compute: () -> GroupContrasts) -> GroupContrasts {
        known.withLock { known in
            if let known { return known }
            let result = compute()
            known = result
            return result
        }
    }
}

extension MetricInput {
    /// Why a group cannot be compared with others, where its documents come from too few sources that are its own; by the group's place.
    var confounded: [Int: String] {
        var units: [Int: Set<Int>] = [:]
        var documents: [Int: Int] = [:]
        var isBlocked: Set<Int> = []
        for document in groupOf.indices where tokens[document] > 0 {
            let group = groupOf[document]
            if design.block[document] >= 0 { isBlocked.insert(group) }
            units[group, default: []].insert(design.unit[document])
            documents[group, default: 0] += 1
        }
        var reasons: [Int: String] = [:]
        for group in largeGroups where !isBlocked.contains(group) {
            let (found, count) = (units[group]?.count ?? 0, documents[group] ?? 0)
            guard found < count, found < SamplingDesign.fewestClusters else { continue }
            reasons[group] =
                "\(found == 1 ? "one cluster" : "\(found) clusters") of documents: the group and its clusters cannot be told apart; "
                + "\(SamplingDesign.fewestClusters) clusters are needed"
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
        contrastsCache.value {
            let groups = comparableGroups
            return GroupContrasts(test: contrastTest(groups, targets: Array(groups.indices)), groups: groups)
        }
    }

    /// Compares some groups' shares of assignments, in every layer.
    /// - Parameter targets: the groups to compare with the others, as places in `groups`.
    func contrastTest(_ groups: [Int], targets: [Int], stream: UInt64 = 0) -> ContrastTest {
        let E = sample.experts
        let tables = layers.map { layer -> DocumentTable in
            var values: [Double] = []
            values.reserveCapacity(tokens.count * (E + 1))
            for document in tokens.indices {
                let row = layer.assignments[document * E..<(document + 1) * E]
                values.append(contentsOf: row)
                values.append(row.reduce(0, +))
            }
            return table(columns: E + 1, values: values).restricted(to: groups)
        }
        return ContrastTest(
            groups.count > 1 ? tables : layers.map { _ in tables[0].restricted(to: []) }, targets: targets,
            settings: settings, stream: stream)
    }
}
