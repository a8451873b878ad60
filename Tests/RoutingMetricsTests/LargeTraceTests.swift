import RoutingMetrics
import Tensors
import Testing

/// How many draws a large trace gets, and which pairs of groups can be told apart.
struct LargeTraceTests {
    private func draws(_ settings: MetricSettings, _ layers: Int, _ experts: Int, _ documents: Int, _ groups: Int)
        -> [Int]
    {
        let found = settings.affordable(layers: layers, experts: experts, documents: documents, groups: groups)
        return [found.permutations, found.bootstrap]
    }

    /// 12·10⁹ counts in all: 6·8·600·6 = 172,800 a draw leave 69,444 draws, 32·64·1000·10 = 20,480,000 leave 585, and
    /// 48·64·660·30 = 60,825,600 leave 197, for which the fewest stand in.
    @Test func drawsGrowFewerWithTheTrace() {
        var settings = MetricSettings()
        #expect(draws(settings, 48, 64, 660, 30) == [1999, 1000], "what was set stays")
        settings.adaptsPermutations = true
        settings.adaptsBootstrap = true
        #expect(draws(settings, 6, 8, 600, 6) == [1999, 1000])
        #expect(draws(settings, 16, 64, 1000, 5) == [1999, 1000])
        #expect(draws(settings, 32, 64, 1000, 10) == [499, 499])
        #expect(draws(settings, 48, 64, 660, 30) == [199, 199])
        settings.adaptsPermutations = false
        #expect(draws(settings, 48, 64, 660, 30) == [1999, 199])
        settings.bootstrap = 20
        #expect(draws(settings, 48, 64, 660, 30) == [1999, 20], "never more than was asked for")
    }

    /// The smallest p-value is 1/(permutations + 1); times the pairs it has to be below 0.05.
    @Test func manyPairsAreTestedWhereThatCanTell() {
        var settings = MetricSettings(permutations: 199)
        #expect(DivergenceMetric.canBeTold(100, settings), "a hundred pairs are always tested")
        #expect(!DivergenceMetric.canBeTold(435, settings))
        settings.permutations = 8_599
        #expect(!DivergenceMetric.canBeTold(435, settings))
        settings.permutations = 8_799
        #expect(DivergenceMetric.canBeTold(435, settings))
    }

    /// Parallel texts in many groups, one of which is held against all others: documents of one text and row are added up once, which changes
    /// no bit. Halves are not whole, so theirs are not; sums of halves are exact too.
    @Test func documentsDrawnTogetherAreAddedUpOnce() {
        let (texts, groups) = (6, 5)
        var generator = SeededGenerator(seed: 5)
        let group = (0..<texts * groups).map { $0 % groups }
        let design = SamplingDesign(
            group: group, parallel: group.indices.map { "\($0 / groups)" }, cluster: group.map { _ in nil },
            isJudged: [Bool](repeating: true, count: groups))
        let values = (0..<group.count * 3).map { _ in Double(generator.below(50)) }
        func estimates(_ scale: Double) -> [Estimate] {
            let table = DocumentTable(
                columns: 3, groupCount: 2, group: group.map { $0 == 0 ? 0 : 1 }, values: values.map { $0 * scale },
                design: design)
            let bootstrap = Bootstrap(table, settings: MetricSettings(bootstrap: 200), width: 6) { sums, results in
                for place in 0..<6 { results[place] = sums[place] }
            }
            return (0..<6).map { bootstrap.estimate($0) }
        }
        for (whole, half) in zip(estimates(1), estimates(0.5)) {
            #expect(whole.value == 2 * half.value)
            #expect(whole.lower == half.lower.map { 2 * $0 } && whole.upper == half.upper.map { 2 * $0 })
            #expect(whole.lower.map { $0 < whole.value } ?? false)
        }
    }
}
