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
        #expect((metric.layers[0].adjustedP ?? 1) < 0.05 && (metric.layers[1].adjustedP ?? 1) > 0.05)
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
            let expected =
                switch layer.side {
                case .input: sides.input
                case .next: sides.next
                case .predicted: sides.predicted
                }
            #expect(layer.tokenIds == expected.token_ids && layer.occurrences == expected.occurrences)
            #expect(isClose(layer.specialization, expected.specialization))
            #expect(isClose(layer.information, expected.information))
            let best = metric.tokens.filter { $0.layer == layer.layer && $0.side == layer.side && $0.rank == 1 }
            for token in best { #expect(isClose(token.share, expected.best_share[token.expert])) }
        }
    }

    @Test func speculation() throws {
        let rows = try SpeculationMetric.compute(input).rows
        // Of two layers, one can be guessed one ahead, and none two or ten ahead: said, not shown as a number.
        #expect(rows.map(\.ahead) == [1, 1, 2, 10] && rows.map(\.layer) == [nil, 1, nil, nil])
        for row in rows {
            guard row.ahead == 1 else {
                #expect(row.recall == nil && row.requests == 0)
                continue
            }
            #expect(row.requests == reference.speculation.requests && row.documents == 24)
            #expect(isClose(row.recall?.value, reference.speculation.recall))
            #expect(isClose(row.popular?.value, reference.speculation.popular))
            #expect(isClose(row.documentPopular?.value, reference.speculation.document_popular))
            #expect(isClose(row.shuffled?.expected, reference.speculation.shuffled))
            #expect(isClose(row.shuffled?.pValue, reference.speculation.p, 0.002))
        }
        #expect(try SpeculationMetric.compute(input).tables[0].csv.contains("no captured layer has one 10 before it"))
        let other = try MetricInput(try Trace(folder: Reference.folder.appending(path: "other")))
        #expect { try SpeculationMetric.compute(other) } throws: { "\($0)".contains("--capture") }
    }

    @Test func positions() throws {
        let rows = try PositionMetric.compute(input).rows
        #expect(rows.count == 2 * 5)
        for (layer, values) in reference.layers.enumerated() {
            for (row, expected) in zip(rows.filter { $0.layer == layer }, values.positions) {
                #expect(row.tokens == expected.tokens, "\(row.place)")
                #expect(isClose(row.information?.value, max(0, expected.information)), "\(row.place)")
                if row.place != .all { #expect(isClose(row.divergence?.value, expected.divergence), "\(row.place)") }
            }
        }
        // Without the text of tokens there are no sentences.
        let other = try MetricInput(try Trace(folder: Reference.folder.appending(path: "other")))
        #expect(Set(try PositionMetric.compute(other).rows.map(\.place)) == [.all, .early, .later])
    }

    @Test func saturation() throws {
        let other = try Trace(folder: Reference.folder.appending(path: "other"))
        let settings = MetricSettings(bootstrap: 40, permutations: 99)
        let metric = try SaturationMetric.compare([other, input.trace, other], settings: settings)
        #expect(metric.traces == ["other", "routing-trace", "other"] && metric.rows.count == 2 * 2)
        for row in metric.rows {
            let expected = reference.saturation[row.place].layers[row.layer]
            #expect(isClose(row.overlap.value, expected.overlap) && isClose(row.loadChance, expected.chance))
            #expect(isClose(row.divergence?.value, expected.kl, 1e-6))
        }
        for loss in metric.losses where loss.effect.group.isPooled {
            #expect(isClose(loss.effect.second, reference.saturation[loss.place].nll, 1e-6))
            #expect(isClose(loss.effect.first, reference.saturation[0].nll, 1e-6))
        }
        #expect { try SaturationMetric.compare([other], settings: settings) } throws: { "\($0)".contains("two traces") }
    }

    @Test func withinTokens() throws {
        let metric = try WithinTokenMetric.compute(input)
        for (layer, values) in zip(metric.layers, reference.layers) {
            #expect(layer.tokenIds == values.within.token_ids && layer.assignments == values.within.assignments)
            #expect(isClose(layer.conditional, values.within.within))
            #expect(isClose(layer.information, values.within.information))
        }
        // Layer 0 routes by group whatever the token.
        #expect((metric.layers[0].pValue ?? 1) <= 0.01 && (metric.layers[1].pValue ?? 0) > 0.01)
    }

    @Test func paths() throws {
        let metric = try PathMetric.compute(input)
        #expect(isClose(try #require(metric.layers[0].information).value, reference.paths.information))
        #expect(isClose(metric.layers[0].documentChance, reference.paths.chance))
        let best = metric.paths[0]
        #expect(best.count == reference.paths.largest && !metric.isApproximate)
        #expect(isClose(best.independent, reference.paths.independent))
        #expect(isClose(best.pooledIndependent, reference.paths.pooled))
        #expect(best.token == reference.paths.token && isClose(best.tokenShare, reference.paths.token_share))
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
        // Both layers have the same tokens, so that choices of all layers together are the mean of the layers.
        let overall = try #require(metric.overall)
        func mean(_ value: (Reference.Agreement) -> Double) -> Double {
            reference.agreement.reduce(0) { $0 + value($1) } / Double(reference.agreement.count)
        }
        #expect(overall.layers == 2 && overall.choices == 2 * input.sample.tokens)
        #expect(isClose(overall.overlap.value, mean(\.overlap)) && isClose(overall.sameSet.value, mean(\.same_set)))
        #expect(isClose(overall.sameFirst.value, mean(\.same_first)))
        #expect(isClose(overall.divergence?.value, mean(\.kl), 1e-6))
        for (place, decile) in overall.deciles.enumerated() {
            let tokens = reference.agreement.map { Double($0.decile_tokens[place]) }
            let flips = zip(tokens, reference.agreement).reduce(0) { $0 + $1.0 * $1.1.flips[place] }
            #expect(isClose(decile.flips.value, flips / tokens.reduce(0, +)) && decile.decile == place + 1)
        }
        // A trace agrees with itself.
        let same = try AgreementMetric.compare(input.trace, input.trace, settings: MetricSettings(bootstrap: 0))
        #expect(same.layers.allSatisfy { $0.overlap.value == 1 && $0.divergence?.value == 0 })
        #expect(same.effects.allSatisfy { $0.difference?.value == 0 && $0.pValue == 1 })
    }
}
