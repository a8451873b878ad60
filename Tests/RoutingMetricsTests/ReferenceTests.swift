import Testing
import Traces

import RoutingMetrics

/// Every metric against numpy, scipy and scikit-learn on the same trace.
@Suite struct ReferenceTests {
    let reference: Reference.Values
    let input: MetricInput

    init() throws {
        reference = try Reference.values()
        input = try MetricInput(try Reference.trace(), settings: MetricSettings(bootstrap: 50, permutations: 99))
    }

    @Test func load() throws {
        let metric = LoadMetric.compute(input)
        for (layer, expected) in zip(metric.layers, reference.layers) {
            #expect(layer.experts.map(\.count) == expected.load.counts)
            #expect(layer.assignments == expected.tokens * 2)
            #expect(isClose(layer.coefficientOfVariation.value, expected.load.cv))
            #expect(isClose(layer.gini.value, expected.load.gini))
            #expect(isClose(layer.maxOverMean.value, expected.load.max_over_mean))
            #expect(isClose(layer.balancedness.value, 1 / expected.load.max_over_mean))
            #expect(isClose(layer.entropy.value, expected.load.entropy))
            #expect(layer.deadExperts.isEmpty)
        }
    }

    @Test func groupShares() throws {
        let domain = DomainShareMetric.compute(input)
        let perToken = SpecializationMetric.compute(input)
        #expect(domain.rows.count == 2 * 3 * 6)
        for (a, b) in zip(domain.rows, perToken.rows) {
            let expected = reference.layers[a.layer]
            let group = try #require(input.groups.firstIndex(of: a.group))
            let counts = expected.group_counts[group]
            #expect(a.count == counts[a.expert] && b.count == counts[b.expert])
            #expect(isClose(a.share?.value, Double(counts[a.expert]) / Double(counts.reduce(0, +))))
            #expect(isClose(b.share?.value, Double(counts[b.expert]) / Double(expected.group_tokens[group])))
            #expect(a.tokens == expected.group_tokens[group] && a.documents == 8)
        }
    }

    @Test func information() throws {
        let metric = try InformationMetric.compute(input)
        for (layer, expected) in zip(metric.layers, reference.layers) {
            #expect(isClose(layer.plugIn, expected.information.plug_in))
            #expect(isClose(layer.information.value, expected.information.units[0][0]))
            #expect(isClose(layer.groupEntropy, expected.information.group_entropy))
            #expect(isClose(layer.share.value, expected.information.units[0][1]))
            for (unit, values) in zip(InformationMetric.Unit.allCases, expected.information.units) {
                let row = metric.unit(unit, layer: layer.layer)
                #expect(row?.method == .plugIn && row?.tokens == expected.tokens)
                #expect(isClose(row?.information?.value, values[0]), "\(unit)")
                #expect(isClose(row?.share?.value, values[1]), "\(unit)")
            }
        }
    }

    @Test func decoding() throws {
        let metric = try DecodingMetric.compute(input)
        #expect(metric.groups == ["de", "en", "fr"] && metric.chance == 1.0 / 3)
        for (layer, expected) in zip(metric.layers, reference.layers) {
            #expect(layer.folds == 5 && layer.tokens == expected.tokens && layer.documents == 24)
            #expect(isClose(layer.gain.value, expected.decoding.gain, 1e-8))
            #expect(isClose(layer.share.value, expected.decoding.share, 1e-8))
            #expect(isClose(layer.exponent, expected.decoding.exponent))
            for (length, value) in zip([1, 5], expected.decoding.accuracy) {
                #expect(isClose(layer.accuracy(after: length)?.value, value), "\(length) tokens")
            }
            #expect(layer.accuracy(after: 20) == nil && layer.accuracy(after: 100) == nil)
            #expect(layer.windows[3].note?.contains("de, en, fr") == true)
        }
    }

    @Test func divergence() throws {
        let metric = try DivergenceMetric.compute(input)
        for (layer, expected) in reference.layers.enumerated() {
            let pairs = metric.pairs.filter { $0.layer == layer }
            #expect(pairs.map { [$0.groupA, $0.groupB] } == [["de", "en"], ["de", "fr"], ["en", "fr"]])
            for (pair, value) in zip(pairs, expected.divergence) {
                #expect(isClose(pair.divergence.value, max(0, value)))
            }
            #expect(isClose(metric.layers[layer].mean.value, max(0, expected.divergence.reduce(0, +) / 3)))
        }
    }

    @Test func repetition() throws {
        let metric = RepetitionMetric.compute(input)
        for (layer, expected) in reference.layers.enumerated() {
            for (row, value) in zip(metric.rows.filter { $0.layer == layer }, expected.repetition) {
                #expect(row.pairs == value.pairs)
                #expect(isClose(row.first?.value, value.first))
                #expect(isClose(row.any?.value, value.any))
                let (first, any) = (try #require(row.firstShuffled), try #require(row.anyShuffled))
                #expect(isClose(first.expected, value.document_first) && isClose(any.expected, value.document_any))
                #expect(isClose(first.ratio.value, value.first / value.document_first))
                #expect(isClose(any.ratio.value, value.any / value.document_any))
                // Student's t is brought to the normal scale by an approximation.
                #expect(isClose(first.pValue, value.p_first, 0.002) && isClose(any.pValue, value.p_any, 0.002))
                #expect((first.adjustedP ?? 0) >= (first.pValue ?? 1) && (any.adjustedP ?? 0) >= (any.pValue ?? 1))
                #expect(isClose(row.loadChanceFirst, value.load_first))
                #expect(isClose(row.loadChanceAny, value.load_any))
                #expect(isClose(row.chanceFirst, 1.0 / 6) && isClose(row.chanceAny, 1 - 6.0 / 15))
            }
        }
    }

    @Test func coactivation() throws {
        for pair in try CoactivationMetric.compute(input).pairs {
            let expected = reference.layers[pair.layer]
            let together = expected.coactivation[pair.expert][pair.other]
            #expect(pair.together == together)
            #expect(isClose(pair.share?.value, Double(together) / Double(expected.load.counts[pair.expert])))
            // Both are means over drawn tables: ten tables of this trace spread by less than √count / 2.
            let chance = try #require(pair.chance)
            let drawn = expected.coactivation_chance[pair.expert][pair.other]
            #expect(abs(chance.expected * Double(pair.count) - drawn) < 1 + drawn.squareRoot())
            #expect(isClose(chance.ratio.value * chance.expected, pair.share?.value ?? -1))
        }
    }

    @Test func confidence() throws {
        let metric = try ConfidenceMetric.compute(input)
        for (layer, expected) in reference.layers.enumerated() {
            for (row, values) in zip(metric.rows.filter { $0.layer == layer }, expected.confidence) {
                #expect(isClose(row.entropy?.value, values[0], 1e-6))
                #expect(isClose(row.firstMargin?.value, values[1], 1e-6))
                #expect(isClose(row.choiceMargin?.value, values[2], 1e-6))
            }
        }
    }

    @Test func statistics() {
        let expected = reference.statistics
        for (q, value) in zip(benjaminiHochberg(expected.p), expected.q) { #expect(isClose(q, value)) }
        for (p, z) in zip(expected.normal_p, expected.normal_z) { #expect(isClose(normalQuantile(p), z, 1e-8)) }
        let sorted = expected.quantile_of.sorted()
        for (p, value) in zip([0, 0.025, 0.5, 0.9, 1], expected.quantiles) {
            #expect(isClose(quantile(sorted, p), value))
        }
    }
}
