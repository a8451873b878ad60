import Foundation
import Hooks
import RoutingMetrics
import Tensors
import Testing

/// Controls of the same load: how they are found, and what is said of own experts that do nothing beyond their load.
@Suite struct MatchedControlTests {
    /// Group "a" sends a share of its tokens to expert 0, "b" a quarter; 2 experts a token. Others are used the less the higher
    /// their number, or all alike.
    private static func survey(
        tokens: Int = 2000, experts: Int = 8, own: Double = 0.7, areAlike: Bool = false
    ) -> RoutingSurvey {
        var numbers = SeededGenerator(seed: 5)
        func layer(_ favourite: Double) -> RoutingSurvey.Layer {
            var layer = RoutingSurvey.Layer(experts: experts)
            for _ in 0..<tokens {
                var others = Array(1..<experts)
                var chosen = Double(numbers.uniform()) < favourite ? [0] : []
                while chosen.count < 2 {
                    let (first, second) = (numbers.below(others.count), numbers.below(others.count))
                    chosen.append(others.remove(at: areAlike ? first : min(first, second)))
                }
                for expert in chosen { layer.meeting[expert] += 1 }
                layer.sets += chosen.map { UInt16($0) }
            }
            return layer
        }
        return RoutingSurvey(
            experts: experts, expertsPerToken: 2, tokens: ["a": tokens, "b": tokens],
            layers: ["a": [0: layer(own), 3: layer(own)], "b": [0: layer(0.25), 3: layer(0.25)]])
    }

    @Test(arguments: [(8, 0.7), (8, 0.3), (64, 0.5)]) func drawsMeetTheSameShare(experts: Int, own: Double) {
        let survey = Self.survey(experts: experts, own: own)
        let chosen = [[0], [0]]
        let matched = MatchedDraws(survey, group: "a", own: chosen, layers: [0, 3], count: 20, seed: 1)
        #expect(abs(matched.target - own) < 0.03)
        #expect(matched.draws.count == 20 && Set(matched.draws.map(\.experts)).count == 20)
        for draw in matched.draws {
            #expect(draw.experts.allSatisfy { !$0.contains(0) && !$0.isEmpty })
            #expect(abs(draw.share - matched.target) < 0.03)
            for (experts, layer) in zip(draw.experts, [0, 3]) {
                let share = survey.share(of: "a", layer: layer, meeting: experts)
                #expect(abs(share - survey.share(of: "a", layer: layer, meeting: [0])) <= 2 * MatchedDraws.tolerance)
            }
        }
        // The seed says which draws.
        let again = MatchedDraws(survey, group: "a", own: chosen, layers: [0, 3], count: 20, seed: 1)
        #expect(again.draws == matched.draws)
        let other = MatchedDraws(survey, group: "a", own: chosen, layers: [0, 3], count: 20, seed: 2)
        #expect(other.draws != matched.draws)
    }

    /// Three experts, one of them own: of the others there are three sets, and fewer are near enough.
    @Test func thereMayBeFewerSetsThanDraws() {
        let survey = Self.survey(experts: 3, own: 0.65, areAlike: true)
        let matched = MatchedDraws(survey, group: "a", own: [[0]], layers: [0], count: 20, seed: 1)
        #expect(matched.draws.count == 2)
        // Where all others together meet too few tokens, the nearest is taken, and its share says so.
        let out = MatchedDraws(survey, group: "a", own: [[0, 1]], layers: [0], count: 20, seed: 1)
        #expect(out.draws.map(\.experts) == [[[2]]])
        #expect((out.draws.first?.share ?? 1) < out.target - 0.2)
    }

    @Test func ownExpertsStandOutAgainstOthers() {
        // Expert 1 has most of both groups' tokens; expert 0 has few of the other's; expert 3 has too few to count.
        func layer(_ meeting: [Int]) -> [Int: RoutingSurvey.Layer] {
            var layer = RoutingSurvey.Layer(experts: 4)
            layer.meeting = meeting
            return [0: layer]
        }
        let survey = RoutingSurvey(
            experts: 4, expertsPerToken: 1, tokens: ["a": 1000, "b": 1000],
            layers: ["a": layer([300, 640, 20, 40]), "b": layer([100, 600, 300, 0])])
        #expect(survey.ownExperts(of: "a", layer: 0, count: 1) == [0])
        let contrasts = survey.contrasts(of: "a", layer: 0)
        #expect(abs(contrasts[0] - (log(0.3 / 0.7) - log(0.1 / 0.9))) < 0.02)
        #expect(contrasts[3] > contrasts[0])
        #expect(survey.ownExperts(of: "a", layer: 0, count: 3) == [0, 1, 3])
    }

    @Test func halvesKeepParallelSetsTogether() {
        let groups = (0..<30).map { ["de", "fr", "code"][$0 % 3] }
        let sets = (0..<30).map { $0 % 3 == 2 ? nil : "text \($0 / 3)" }
        let split = DocumentSplit(groups: groups, sets: sets, seed: 3)
        #expect((split.choosing + split.scored).sorted() == Array(0..<30))
        for group in ["de", "fr", "code"] { #expect(split.scored.filter { groups[$0] == group }.count == 5) }
        for first in stride(from: 0, to: 30, by: 3) {
            #expect(split.scored.contains(first) == split.scored.contains(first + 1))
        }
        #expect(split != DocumentSplit(groups: groups, sets: sets, seed: 4))
    }

    @Test func ablatedLoadIsCountedFromTheSecondToken() {
        // Two documents of 3 and 2 tokens; 2 experts a token.
        let load = AblatedLoad(
            [4: [1], 5: [0, 2]], documents: [0..<3, 3..<5],
            indices: { $0 == 4 ? [1, 0, 1, 2, 3, 0, 1, 2, 3, 1] : [0, 2, 0, 2, 1, 3, 0, 1, 2, 3] },
            weights: { $0 == 4 ? [9, 9, 0.75, 0.25, 1, 0, 9, 9, 0.5, 0.5] : [9, 9, 0.5, 0.25, 1, 0, 9, 9, 0.125, 0] })
        // Layer 4: one token of document 0 with 0.75, one of document 1 with 0.5. Layer 5: one (both its experts) and one.
        #expect(load.met == [1, 1] && load.weight == [1.5, 0.625])
    }

    /// A simulated experiment: own experts that cost what the controls do on average, plus `special`.
    private static func contrast(
        _ run: UInt64, special: Double, documents n: Int = 20, draws D: Int = 20
    ) -> ExperimentResult.Contrast? {
        var numbers = SeededGenerator(seed: 77, stream: run)
        func normal(_ spread: Double) -> Double { spread * Double(numbers.normal()) }
        let tokens = (0..<n).map { _ in 100 + numbers.below(200) }
        let share = (0..<n).map { _ in 0.5 + normal(0.1) }
        func arm(_ mean: Double, _ own: Double) -> [Double] {
            (0..<n).map { Double(tokens[$0]) * (2 + mean + share[$0] + own + normal(0.05)) }
        }
        // Documents differ in what the loss of any expert costs them, and in what that of the own ones does.
        let ownArm = (0..<n).map { Double(tokens[$0]) * (2.3 + special + share[$0] + normal(0.1)) }
        var arms = ["own a": ownArm]
        var loads = [
            "own a": AblatedLoad(met: tokens.map { 0.6 * Double($0) }, weight: tokens.map { 0.5 * Double($0) })
        ]
        var planned = [ExperimentPlan.Arm(name: "own a", role: .own, target: "a", changes: [])]
        for draw in 0..<D {
            let name = "random \(draw)"
            arms[name] = arm(0.3 + normal(0.1), 0)
            loads[name] = AblatedLoad(met: tokens.map { 0.6 * Double($0) }, weight: tokens.map { 0.4 * Double($0) })
            planned.append(.init(name: name, role: .random, target: "a", changes: [], groups: ["a"]))
        }
        let result = ExperimentResult(
            ExperimentPlan(kind: "ablation", seed: 1, arms: planned),
            ExperimentLikelihoods(
                tokens: tokens, baseline: tokens.map { 2 * Double($0) }, arms: arms, loads: loads),
            groupOf: Array(repeating: "a", count: n),
            settings: MetricSettings(bootstrap: 300, permutations: 19, seed: run))
        return result.contrasts.first { $0.control == "random" }
    }

    /// Own experts that do what their load does: the interval holds 0, and they are not said to matter.
    @Test(arguments: [(20, 20), (10, 20), (20, 6)]) func ownExpertsWithoutEffectAreNotFound(documents: Int, draws: Int)
    {
        let runs = 400
        let contrasts = (0..<runs).compactMap {
            Self.contrast(UInt64($0), special: 0, documents: documents, draws: draws)
        }
        #expect(contrasts.count == runs)
        let covered = contrasts.count { ($0.difference?.lower ?? 1) <= 0 && ($0.difference?.upper ?? -1) >= 0 }
        let small = contrasts.count { ($0.pValue ?? 0) <= 0.05 }
        let called = contrasts.count { $0.verdict != .notToldApart }
        #expect(Double(covered) / Double(runs) >= 0.93, "\(covered) of \(runs)")
        // 5 % of 400, and two standard errors.
        #expect(small <= 29 && called <= 29, "\(small) and \(called) of \(runs)")
    }

    @Test func ownExpertsWithAnEffectAreFound() {
        let runs = 100
        let contrasts = (0..<runs).compactMap { Self.contrast(UInt64($0), special: 0.2) }
        #expect(contrasts.count { $0.verdict == .costsMore } >= 95)
        for contrast in contrasts {
            #expect(abs((contrast.ownShare ?? 0) - 0.6) < 1e-9 && abs((contrast.ownWeight ?? 0) - 0.5) < 1e-9)
            // 0.5 nats and 0.5 of weight against 0.3 and 0.4, and what documents add to both.
            let own = (contrast.ownPerWeight?.value ?? 0) * 0.5 - (contrast.controlPerWeight?.value ?? 0) * 0.4
            #expect(abs(own - (contrast.difference?.value ?? 0)) < 1e-9)
            #expect((contrast.perWeight?.lower ?? 1) <= (contrast.perWeight?.upper ?? 0))
        }
    }

    /// A result of version 2 is read, and has no shares.
    @Test func earlierResultsAreRead() throws {
        let settings = String(decoding: try JSONEncoder().encode(MetricSettings()), as: UTF8.self)
        let text = """
            {"version": 2, "kind": "ablation", "settings": \(settings), "effects": [], "matrix": [], "contrasts": [
              {"target": "de", "control": "random", "arms": 2, "documents": 20, "pValue": 0.001, "qValue": 0.01,
               "difference": {"value": 0.96, "lower": 0.85, "upper": 1.07}}]}
            """
        let result = try JSONDecoder().decode(ExperimentResult.self, from: Data(text.utf8))
        #expect(result.version == 2 && result.documents == nil)
        #expect(result.contrasts.first?.ownShare == nil && result.contrasts.first?.verdict == .costsMore)
        #expect(result.tables.map(\.name) == ["effects", "contrasts"])
    }
}
