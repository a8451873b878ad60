import Foundation
import RoutingMetrics
import Testing
import Traces

@Suite struct InferenceTests {
    /// 0 and 4 of 10: Wilson's score interval, worked out with Python's floats.
    @Test func sharesOfFewTokensAreUncertain() {
        let none = Estimate(0, lower: 0, upper: 0).widened(toTokens: 10, level: 0.95)
        #expect(none.value == 0 && none.lower == 0 && abs((none.upper ?? 0) - 0.277533) < 1e-6)
        let some = Estimate(0.4, lower: 0.39, upper: 0.9).widened(toTokens: 10, level: 0.95)
        #expect(abs((some.lower ?? 0) - 0.168180) < 1e-6 && some.upper == 0.9)
        #expect(Estimate(0.4).widened(toTokens: 10, level: 0.95) == Estimate(0.4))
    }

    @Test func plantedEffectIsFound() throws {
        let input = try MetricInput(try Reference.trace(), settings: MetricSettings(bootstrap: 200, permutations: 999))
        let layers = try InformationMetric.compute(input).layers
        // Layer 0 routes by group, layer 1 does not.
        let (found, none) = (try #require(layers[0].pValue), try #require(layers[1].pValue))
        #expect(found <= 0.005 && none > 0.01)
        for layer in layers {
            let lower = try #require(layer.information.lower)
            let upper = try #require(layer.information.upper)
            #expect(lower < upper)
        }
        let shares = DomainShareMetric.compute(input).rows
        #expect(shares.filter { $0.layer == 0 && ($0.adjustedP ?? 1) < 0.05 }.count >= 6)
        #expect(shares.filter { $0.layer == 1 && ($0.adjustedP ?? 1) < 0.05 }.isEmpty)
        let pairs = try DivergenceMetric.compute(input).pairs
        let planted = pairs.filter { $0.layer == 0 }
        // The third pair differs least, and there are eight texts.
        #expect(planted.count { ($0.adjustedP ?? 1) < 0.05 } >= 2, "\(planted.map(\.adjustedP))")
    }

    @Test(arguments: MetricCatalog.all.map { $0.definition.name })
    func threadsAndSeedsAreHonoured(name: String) throws {
        let trace = try Reference.trace()
        let metric = try MetricCatalog.named(name)
        func json(threads: Int, seed: UInt64) throws -> Data {
            var settings = MetricSettings(bootstrap: 40, permutations: 40, seed: seed, minimumCount: 5)
            settings.threads = threads
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            let input = try MetricInput(trace, settings: settings)
            return try encoder.encode(try metric.compute(input).tables)
        }
        #expect(try json(threads: 1, seed: 1) == json(threads: 3, seed: 1))
        // Counts alone know no seed, nor do intervals that are not resampled.
        if name != "vocabulary", name != "specialists" {
            #expect(try json(threads: 1, seed: 1) != json(threads: 1, seed: 2))
        }
    }

    @Test func smallGroupsSaySo() throws {
        let trace = try Reference.trace()
        let input = try MetricInput(
            trace, settings: MetricSettings(bootstrap: 20, permutations: 20, minimumDocuments: 9))
        #expect(throws: MetricError.self) { try InformationMetric.compute(input) }
        let rows = DomainShareMetric.compute(input).rows
        #expect(rows.allSatisfy { $0.share == nil && $0.pValue == nil })
        #expect(DomainShareMetric.compute(input).tables[0].csv.contains("too few documents"))
    }

    @Test func tablesFitTheirColumns() throws {
        let input = try MetricInput(
            try Reference.trace(), settings: MetricSettings(bootstrap: 20, permutations: 20, minimumCount: 5))
        for type in MetricCatalog.all {
            let tables = try type.compute(input).tables
            #expect(tables.first?.name == type.definition.name)
            for table in tables {
                #expect(!table.rows.isEmpty)
                for row in table.rows {
                    for (cell, column) in zip(row, table.columns) {
                        switch (cell, column.kind) {
                        case (.missing, _), (.integer, .integer), (.real, .real), (.text, .text): break
                        default: Issue.record("\(table.name).\(column.name): \(cell) is no \(column.kind)")
                        }
                    }
                }
                #expect(Set(table.columns.map(\.name)).count == table.columns.count)
            }
        }
    }

    /// The tables of a comparison hold their columns as well.
    @Test func comparisonsHaveTables() throws {
        let trace = try Reference.trace()
        let settings = MetricSettings(bootstrap: 10, permutations: 10)
        let results: [any MetricValues] = [
            try AgreementMetric.compare(trace, trace, settings: settings),
            try SaturationMetric.compare([trace, trace, trace], settings: settings),
        ]
        for (result, type) in zip(results, MetricCatalog.comparisons) {
            #expect(result.tables.first?.name == type.definition.name)
            #expect(result.tables.allSatisfy { !$0.rows.isEmpty })
        }
        #expect(MetricCatalog.definitions.count == MetricCatalog.all.count + 2)
        #expect { try MetricCatalog.named("saturation") } throws: { "\($0)".contains("moescope compare") }
    }

    @Test func unknownLayersAndNamesAreNamed() throws {
        let trace = try Reference.trace()
        #expect { try MetricInput(trace, settings: MetricSettings(layers: [5])) } throws: {
            "\($0)".contains("layer 5 is not in the trace")
        }
        #expect { try MetricCatalog.named("lode") } throws: { "\($0)".contains("domain-share") }
    }
}
