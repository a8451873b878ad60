import Foundation
import RoutingMetrics
import TestSupport
import Testing

/// The comparison of groups: against numpy (Tests/Fixtures/contrasts), and its p-values.
@Suite struct ContrastTests {
    private struct Design: Decodable {
        struct Cell: Decodable {
            let group, expert: Int
            let share, rest, error, freedom, z: Double
        }
        let counts: [[Double]]
        let groups: [Int]
        let parallel: [String?]
        let cells: [Cell]
    }

    private static func table(_ counts: [[Double]], _ groups: [Int], _ design: SamplingDesign) -> DocumentTable {
        DocumentTable(
            columns: counts[0].count + 1, groupCount: (groups.max() ?? 0) + 1, group: groups,
            values: counts.flatMap { $0 + [$0.reduce(0, +)] }, design: design)
    }

    @Test(arguments: ["documents", "parallel"]) func equalsNumpy(name: String) throws {
        let file = Fixtures.folder.appending(path: "contrasts/contrasts.json")
        let designs = try JSONDecoder().decode([String: Design].self, from: Data(contentsOf: file))
        let design = try #require(designs[name])
        let sampling = SamplingDesign(
            group: design.groups, parallel: design.parallel, cluster: design.groups.map { _ in nil },
            isJudged: [true, true, true])
        let test = ContrastTest(
            [Self.table(design.counts, design.groups, sampling)], targets: [0, 1, 2],
            settings: MetricSettings(permutations: 99))
        for expected in design.cells {
            let cell = try #require(test.cells[0][expected.group]?[expected.expert])
            for (found, wanted) in [
                (cell.share, expected.share), (cell.rest, expected.rest), (cell.error, expected.error),
                (cell.freedom, expected.freedom), (cell.z, expected.z),
            ] {
                #expect(abs(found - wanted) <= 1e-9 * max(1, abs(wanted)), "\(expected.group) \(expected.expert)")
            }
            // Welch's is never below the p-value that is reported, and adjusting never lowers it.
            #expect(cell.pValue >= 2 * normalCDF(-abs(cell.z)) && cell.adjustedP >= cell.tableP)
            #expect(cell.tableP >= cell.pValue || cell.pValue <= 0.01)
        }
        #expect(test.count == design.cells.count)
    }

    @Test func designsSayWhatBelongsTogether() {
        // Two groups of twelve documents: sources of two documents each, nested in groups.
        let group = (0..<24).map { $0 / 12 }
        let nested = SamplingDesign(
            group: group, parallel: group.map { _ in nil }, cluster: (0..<24).map { "\($0 / 2)" },
            isJudged: [true, true])
        #expect(nested.unit == (0..<24).map { $0 / 2 } && nested.resampled == nested.unit)
        #expect(nested.block.allSatisfy { $0 == -1 })
        // Parallel texts in three sources: texts are compared, and resampled, since sources are few.
        let texts = (0..<24).map { "\($0 % 12)" }
        let few = SamplingDesign(
            group: group, parallel: texts, cluster: (0..<24).map { "\($0 % 3)" }, isJudged: [true, true])
        #expect(few.unit == (0..<24).map { $0 % 12 } && few.resampled == few.unit)
        #expect(Set(few.block).count == 12 && zip(few.block, few.block.dropFirst(12)).allSatisfy(==))
        // In six sources, these are resampled; what is compared is still texts.
        let many = SamplingDesign(
            group: group, parallel: texts, cluster: (0..<24).map { "\($0 % 6)" }, isJudged: [true, true])
        #expect(many.unit == few.unit && many.resampled == (0..<24).map { $0 % 6 })
        // Sources that have documents of both groups, without parallel texts: what a source has in one group is one unit.
        let crossed = SamplingDesign(
            group: group, parallel: group.map { _ in nil }, cluster: (0..<24).map { "\($0 % 6)" },
            isJudged: [true, true])
        #expect(crossed.unit == (0..<24).map { $0 % 6 + 6 * ($0 / 12) } && crossed.resampled == (0..<24).map { $0 % 6 })
        #expect(crossed.block == (0..<24).map { $0 % 6 })
    }

    /// A group whose few documents have none of an expert by chance is not called different for it.
    @Test func anExpertOfNoDocumentIsNotCertain() throws {
        // Each of eight documents has one expert of its own half the time; the others have all alike.
        var counts: [[Double]] = (0..<8).map { document in (0..<8).map { $0 == document % 4 ? 40 : 0 } }
        counts += (0..<75).map { _ in [Double](repeating: 5, count: 8) }
        let groups = (0..<83).map { $0 < 8 ? 0 : 1 }
        let test = ContrastTest(
            [Self.table(counts, groups, SamplingDesign(documents: 83))], targets: [0, 1],
            settings: MetricSettings(permutations: 199))
        #expect(test.cells[0].compactMap(\.self).joined().allSatisfy { $0.adjustedP > 0.05 })
    }

    @Test func studentScaleUndoesNormalScale() {
        for freedom in [1.0, 4, 30] {
            for t in [-7.0, -0.3, 0, 2, 40] {
                #expect(
                    abs(studentScale(normalScale(t, freedom: freedom), freedom: freedom) - t) < 1e-9 * max(1, abs(t)))
            }
        }
    }
}
