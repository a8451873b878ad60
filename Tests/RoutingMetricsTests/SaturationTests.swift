import Foundation
import RoutingMetrics
import TestSupport
import Testing
import Traces

/// Checkpoints of a short training run (Tests/Fixtures/saturation), each against the run's end, beside numpy.
@Suite struct SaturationTests {
    private struct Reference: Decodable {
        struct Step: Decodable {
            let trace: String
            let tokens: Int
            let nll, last_nll: Double
            let overlap, load_chance, same_set, same_first, kl: [Double]
        }
        let traces: [Step]
    }

    @Test func routingSettlesWhileTraining() throws {
        let folder = Fixtures.folder.appending(path: "saturation")
        let reference = try JSONDecoder().decode(
            Reference.self, from: Data(contentsOf: folder.appending(path: "reference.json")))
        let series = try (reference.traces.map(\.trace) + ["last"]).map {
            try Trace(folder: folder.appending(path: $0))
        }
        let metric = try SaturationMetric.compare(
            series, settings: MetricSettings(bootstrap: 200, permutations: 199, minimumDocuments: 2))
        #expect(metric.traces == reference.traces.map(\.trace) + ["last"])
        #expect(metric.rows.count == reference.traces.count * 6)
        for row in metric.rows {
            let expected = reference.traces[row.place]
            #expect(row.tokens == expected.tokens && row.trace == expected.trace)
            #expect(isClose(row.overlap.value, expected.overlap[row.layer]))
            #expect(isClose(row.loadChance, expected.load_chance[row.layer]))
            #expect(isClose(row.sameSet.value, expected.same_set[row.layer]))
            #expect(isClose(row.sameFirst.value, expected.same_first[row.layer]))
            #expect(isClose(row.divergence?.value, expected.kl[row.layer], 1e-6))
            #expect((row.overlap.lower ?? 2) <= row.overlap.value && row.overlap.value <= (row.overlap.upper ?? -1))
        }
        for loss in metric.losses where loss.effect.group.isPooled {
            #expect(isClose(loss.effect.second, reference.traces[loss.place].nll, 1e-6))
            #expect(isClose(loss.effect.first, reference.traces[loss.place].last_nll, 1e-6))
        }
        // The longer a checkpoint was trained, the closer its router's probabilities are to the last one's. The experts follow
        // later: after 8 and 25 thousand tokens they agree as little as each other.
        func mean(_ place: Int, _ value: (SaturationMetric.Row) -> Double) -> Double {
            metric.rows.filter { $0.place == place }.reduce(0) { $0 + value($1) } / 6
        }
        let divergences = reference.traces.indices.map { mean($0) { $0.divergence?.value ?? .nan } }
        #expect(divergences == divergences.sorted(by: >))
        let overlaps = reference.traces.indices.map { mean($0) { $0.overlap.value } }
        #expect((overlaps.last ?? 0) > (overlaps.first ?? 1) + 0.1)
        let losses = metric.losses.filter { $0.effect.group.isPooled }.compactMap { $0.effect.difference }
        #expect(
            losses.map(\.value) == losses.map(\.value).sorted(by: >)
                && losses.allSatisfy { $0.value > 0 && $0.lower != nil })
    }
}
