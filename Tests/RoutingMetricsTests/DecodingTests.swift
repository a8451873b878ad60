import Foundation
import RoutingMetrics
import Tensors
import Testing
import Traces

/// What sets of experts tell, on traces where it is known.
@Suite struct DecodingTests {
    /// One of eight experts tells the group for certain: the set tells all, an assignment an eighth.
    @Test func ownExpertOfEightIsSeenInTheSet() throws {
        let trace = SetTrace(
            groups: ["a", "b", "c", "d"], documentsPerGroup: 10, tokens: 60, experts: 64, slots: 8, spread: 0.3,
            hasOwnExperts: true, seed: 1)
        try trace.with { trace in
            let input = try MetricInput(trace, settings: MetricSettings(bootstrap: 200, permutations: 0))
            let metric = try InformationMetric.compute(input)
            let assignment = try #require(metric.unit(.assignment, layer: 0)?.share)
            #expect(abs(assignment.value - 0.125) < 0.01, "\(assignment)")
            let set = try #require(metric.set(0))
            #expect(set.method == .decoding && set.tokens == 4 * 10 * 59)
            #expect(try #require(set.share?.value) > 0.99, "\(set)")
            #expect(metric.mostInformativeSet() == set)
            let decoding = try DecodingMetric.compute(input)
            #expect(try #require(decoding.layers[0].accuracy(after: 1)?.value) > 0.999)
        }
    }

    /// Where documents differ and groups do not, nothing is told: neither bits nor accuracy.
    @Test(arguments: [(6, 2, 8, Int?.none), (16, 4, 24, Int?.some(3))])
    func nothingIsToldWithoutGroups(experts: Int, slots: Int, documents: Int, perCluster: Int?) {
        let trials = 400
        let settings = MetricSettings(bootstrap: 200, permutations: 0, threads: 1)
        let found = Parallel.rows(trials, width: 4, threads: nil) { trial, found in
            let trace = SetTrace(
                groups: ["a", "b"], documentsPerGroup: documents, tokens: 25 + trial % 20, experts: experts,
                slots: slots, spread: 0.4, perCluster: perCluster, seed: 1000 + trial)
            let metric = try? trace.with { try DecodingMetric.compute(try MetricInput($0, settings: settings)) }
            guard let layer = metric?.layers.first else { return }
            found[0] = 1
            found[1] = layer.gain.lower ?? 1 > 0 ? 1 : 0
            found[2] = layer.accuracy(after: 1)?.lower ?? 1 > 0.5 ? 1 : 0
            found[3] = layer.accuracy(after: 5)?.lower ?? 1 > 0.5 ? 1 : 0
        }
        let counts = (0..<4).map { column in (0..<trials).reduce(0) { $0 + found[$1 * 4 + column] } }
        #expect(counts[0] == Double(trials))
        for (name, count) in zip(["bits", "accuracy of a token", "accuracy of five"], counts.dropFirst()) {
            print("decoding without groups, \(slots) of \(experts), \(name): \(count / Double(trials))")
            #expect(count / Double(trials) <= 0.05, "\(name)")
        }
    }

    /// A cluster is never on both sides: what tells clusters apart is not taken for the group.
    @Test func clustersStayWhole() throws {
        // Two clusters of a group each: whatever differs between clusters says nothing about the one held out.
        let trace = SetTrace(
            groups: ["a", "b"], documentsPerGroup: 8, tokens: 40, experts: 8, slots: 2, spread: 0.3, perCluster: 4,
            seed: 7)
        try trace.with { trace in
            let metric = try DecodingMetric.compute(
                try MetricInput(trace, settings: MetricSettings(bootstrap: 50, permutations: 0)))
            #expect(metric.layers[0].folds == 4)
            #expect(metric.layers[0].note?.contains("2 clusters") == true, "\(metric.layers[0])")
        }
        let single = SetTrace(
            groups: ["a", "b"], documentsPerGroup: 8, tokens: 40, experts: 8, slots: 2, spread: 0.3, perCluster: 8,
            seed: 8)
        try single.with { trace in
            let input = try MetricInput(trace, settings: MetricSettings(bootstrap: 50, permutations: 0))
            #expect { try DecodingMetric.compute(input) } throws: { "\($0)".contains("one cluster") }
        }
    }

    /// Sets of two experts are counted where there is enough to count, and decoded where there is not.
    @Test func scarceSetsAreDecoded() throws {
        func method(experts: Int) throws -> InformationMetric.UnitRow? {
            let trace = SetTrace(
                groups: ["a", "b"], documentsPerGroup: 10, tokens: 31, experts: experts, slots: 2, spread: 0.3,
                seed: 100 + experts)
            return try trace.with {
                try InformationMetric.compute(
                    try MetricInput($0, settings: MetricSettings(bootstrap: 50, permutations: 0))
                ).set(0)
            }
        }
        #expect(try method(experts: 8)?.method == .plugIn)
        let scarce = try method(experts: 40)
        #expect(
            scarce?.method == .decoding && scarce?.note?.contains("lower bound") == true,
            "\(String(describing: scarce))")
    }
}
