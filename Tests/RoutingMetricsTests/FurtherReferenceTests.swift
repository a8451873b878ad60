import RoutingMetrics
import Testing
import Traces

/// The metrics beyond the first, against numpy, scipy and scikit-learn on the same trace.
@Suite struct FurtherReferenceTests {
    let reference: Reference.Values
    let input: MetricInput

    init() throws {
        reference = try Reference.values()
        input = try MetricInput(
            try Reference.trace(), settings: MetricSettings(bootstrap: 40, permutations: 99, minimumCount: 5))
    }

    @Test func auxiliaryLosses() throws {
        let rows = try AuxiliaryLossMetric.compute(input).rows
        for (row, expected) in zip(rows, [reference.aux] + reference.layers.map(\.aux)) {
            #expect(isClose(row.balance.value, expected.balance, 1e-6) && isClose(row.zLoss.value, expected.z, 1e-6))
        }
        #expect(rows.map(\.layer) == [nil, 0, 1])
    }

    @Test func association() throws {
        let metric = try AssociationMetric.compute(input)
        for (layer, expected) in reference.layers.enumerated() {
            #expect(isClose(metric.layers[layer].chiSquare, expected.association.chi_square))
            #expect(isClose(metric.layers[layer].cramersV.value, expected.association.cramers_v))
            let cells = metric.cells.filter { $0.layer == layer }.map(\.logOdds.value)
            for (cell, value) in zip(cells, expected.association.log_odds.flatMap(\.self)) {
                #expect(isClose(cell, value))
            }
        }
        #expect(metric.layers[0].qValue < 0.05 && metric.layers[1].qValue > 0.05)
    }

    @Test func taskExperts() throws {
        for row in try TaskExpertMetric.compute(input).rows {
            let group = try #require(input.groups.firstIndex(of: row.group))
            let expected = reference.layers[row.layer].task_experts.others[group][row.expert]
            #expect(isClose(row.difference.value, expected))
            #expect(row.side == (expected > 0.1 ? "+" : expected < -0.1 ? "-" : ""))
        }
        var settings = input.settings
        settings.reference = "en"
        let rows = try TaskExpertMetric.compute(MetricInput(input.trace, settings: settings)).rows
        #expect(Set(rows.map(\.group)) == ["de", "fr"])
        for row in rows {
            let group = try #require(input.groups.firstIndex(of: row.group))
            let expected = reference.layers[row.layer].task_experts.reference_en[group][row.expert]
            #expect(isClose(row.difference.value, expected))
        }
    }

    @Test func parallelDivergence() throws {
        let metric = try ParallelDivergenceMetric.compute(input)
        for (layer, expected) in reference.layers.enumerated() {
            for (pair, value) in zip(metric.pairs.filter { $0.layer == layer }, expected.parallel.pairs) {
                #expect(isClose(pair.divergence.value, value, 1e-6) && pair.texts == 8)
            }
            #expect(isClose(metric.layers[layer].mean.value, expected.parallel.pairs.reduce(0, +) / 3, 1e-6))
            #expect(isClose(metric.layers[layer].baseline.value, expected.parallel.baseline, 1e-6))
        }
    }

    @Test func vocabulary() throws {
        let metric = try VocabularyMetric.compute(input)
        for layer in metric.layers {
            let sides = reference.layers[layer.layer].vocabulary
            let expected = layer.side == .input ? sides.input : sides.next
            #expect(layer.tokenIds == expected.token_ids && layer.occurrences == expected.occurrences)
            #expect(isClose(layer.specialization, expected.specialization))
            #expect(isClose(layer.information, expected.information))
            let best = metric.tokens.filter { $0.layer == layer.layer && $0.side == layer.side && $0.rank == 1 }
            for token in best { #expect(isClose(token.share, expected.best_share[token.expert])) }
        }
    }

    @Test func withinTokens() throws {
        let metric = try WithinTokenMetric.compute(input)
        for (layer, values) in zip(metric.layers, reference.layers) {
            #expect(layer.tokenIds == values.within.token_ids && layer.assignments == values.within.assignments)
            #expect(isClose(layer.conditional, values.within.within))
            #expect(isClose(layer.information, values.within.information))
        }
        // Layer 0 routes by group whatever the token.
        #expect(metric.layers[0].pValue == 0.01 && metric.layers[1].pValue > 0.01)
    }

    @Test func paths() throws {
        let metric = try PathMetric.compute(input)
        #expect(isClose(metric.layers[0].information.value, reference.paths.information))
        #expect(metric.paths[0].count == reference.paths.largest && !metric.isApproximate)
        #expect(metric.paths.count == min(50, reference.paths.distinct))
        #expect(metric.transitions.reduce(0) { $0 + $1.count } == input.sample.tokens)
    }

    @Test func expertCache() throws {
        let metric = try ExpertCacheMetric.compute(input)
        for row in metric.rows {
            let expected = try #require(reference.layers[row.layer].cache[row.policy.rawValue])
            #expect(isClose(row.hitRatio.value, expected[row.slots - 1]), "\(row.policy) \(row.slots)")
        }
        #expect(metric.rows.count == 2 * 3 * 6)
    }

    @Test func attention() throws {
        for head in try AttentionMetric.compute(input).heads {
            let expected = reference.layers[head.layer].attention[head.head]
            let found = [head.entropy, head.first, head.previous, head.distance, head.largest].map(\.value)
            for (value, reference) in zip(found + [head.routerCorrelation?.value ?? .nan], expected) {
                #expect(isClose(value, reference, 1e-6))
            }
            #expect(head.induction == nil)
        }
    }

    @Test func agreement() throws {
        let other = try Trace(folder: Reference.folder.appending(path: "other"))
        let metric = try AgreementMetric.compare(
            input.trace, other, settings: MetricSettings(bootstrap: 40, permutations: 99))
        for (layer, expected) in zip(metric.layers, reference.agreement) {
            #expect(isClose(layer.overlap.value, expected.overlap) && isClose(layer.sameSet.value, expected.same_set))
            #expect(isClose(layer.sameFirst.value, expected.same_first))
            #expect(isClose(layer.divergence?.value, expected.kl, 1e-6))
            let deciles = metric.deciles.filter { $0.layer == layer.layer }
            #expect(deciles.map(\.tokens) == expected.decile_tokens)
            for (decile, flips) in zip(deciles, expected.flips) { #expect(isClose(decile.flips.value, flips)) }
            // A smaller margin flips more easily.
            #expect(deciles[0].flips.value > deciles[9].flips.value)
        }
        for (effect, expected) in zip(metric.effects, reference.agreement[0].nll) {
            #expect(isClose(effect.first, expected[0], 1e-6) && isClose(effect.second, expected[1], 1e-6))
            #expect(isClose(effect.difference?.value, expected[1] - expected[0], 1e-6))
            #expect((effect.difference?.lower ?? -1) > 0 && (effect.pValue ?? 1) < 0.05)
        }
        // A trace agrees with itself.
        let same = try AgreementMetric.compare(input.trace, input.trace, settings: MetricSettings(bootstrap: 0))
        #expect(same.layers.allSatisfy { $0.overlap.value == 1 && $0.divergence?.value == 0 })
        #expect(same.effects.allSatisfy { $0.difference?.value == 0 && $0.pValue == 1 })
    }
}
