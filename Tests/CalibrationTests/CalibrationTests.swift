import Calibration
import RoutingMetrics
import Testing

/// A reduced `make calibrate`: few traces of every scenario.
@Suite struct CalibrationTests {
    /// Traces of each scenario; of so many, at most eight may print a sentence that is false in 5 % of them (P(X > 8) = 0.2 %).
    private static let traces = 60

    @Test(arguments: Scenario.nulls.map(\.name)) func sentencesKeepTheirLevel(name: String) throws {
        let scenario = try #require(Scenario.nulls.first { $0.name == name })
        let rates = try Calibration(permutations: 99, bootstrap: 99).rates(scenario, traces: 0..<Self.traces)
        for rate in rates {
            guard let sentence = Sentence(rawValue: rate.subject), scenario.isFalse(sentence) else { continue }
            #expect(rate.hits <= 8, "\(rate.subject): \(rate.hits) of \(rate.count)")
        }
        if name == "three clusters per group" {
            let dependence = try #require(rates.first { $0.subject == "dependence" })
            #expect(dependence.count == 0, "language and source cannot be told apart")
        }
    }

    /// An expert that takes nearly all of one group's tokens, one of 64 in one of 16 layers, eight documents a group.
    @Test func anExpertAmongThousandsOfCellsIsFound() throws {
        let rates = try Calibration(sentences: [.dependence, .specialist]).rates(.oneExpertOfManyCells, traces: 0..<5)
        for rate in rates { #expect(rate.hits == rate.count && rate.count == 5, "\(rate.subject)") }
        try Scenario.oneExpertOfManyCells.withTrace(0) { trace in
            let input = try MetricInput(trace, settings: MetricSettings(bootstrap: 19, permutations: 199))
            let best = try #require(try SpecialistMetric.compute(input).rows.first { $0.group == "group 0" })
            #expect(best.layer == 0 && best.expert == 0 && best.cells == 64 * 16 * 6)
            #expect((best.elsewhere.upper ?? 1) < best.share.lower ?? 0)
        }
    }

    @Test func bounds() {
        // 5 of 100: Clopper and Pearson's two-sided 95 % interval ends at 0.1128.
        let rate = Rate(scenario: "", subject: "", count: 100, hits: 5)
        #expect(rate.rate == 0.05 && abs(rate.upper - 0.11284) < 1e-4)
        #expect(Rate(scenario: "", subject: "").upper == 1)
    }
}
