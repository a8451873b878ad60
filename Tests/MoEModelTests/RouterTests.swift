import Foundation
import Hooks
import MoEModel
import Testing

/// Routing with logits chosen by hand, written through the hook of the router.
struct RouterTests {
    let model: Model
    let indices = HookPoint(.expertIndices, layer: 0)
    let weights = HookPoint(.expertWeights, layer: 0)

    init() throws { model = try SmallModel.load() }

    private func route(_ logits: [Float], _ interventions: [Intervention] = []) throws -> (
        experts: [Int32], weights: [Float]
    ) {
        let seen = HookRecorder()
        var plan = HookPlan()
        plan.observed = [indices, weights]
        plan.edited = [HookPoint(.routerLogits, layer: 0)]
        plan.interventions = interventions
        _ = try model.forward(TokenBatch([[5]]), plan: plan, observer: seen, editor: Edit { _, z in z = logits })
        return (seen.indices(indices) ?? [], seen.floats(weights) ?? [])
    }

    @Test func takesTheTwoLargestAndRenormalizes() throws {
        let (experts, weights) = try route([0, 1, 3, -2, 2, 0, 0, 0])
        #expect(experts == [2, 4])
        let expected: Float = 1 / (1 + exp(Float(-1)))
        #expect(abs(weights[0] - expected) < 1e-6)
        #expect(abs(weights[0] + weights[1] - 1) < 1e-6)
    }

    @Test func tiesGoToTheLowerIndex() throws {
        #expect(try route([1, 1, 1, 1, 1, 1, 1, 1]).experts == [0, 1])
        #expect(try route([0, 0, 2, 1, 0, 1, 1, 0]).experts == [2, 3])
        #expect(try route([0, 5, 0, 0, 0, 0, 0, 5]).weights == [0.5, 0.5])
    }

    @Test func forceTakesTheseByTheirOwnProbabilities() throws {
        let (experts, weights) = try route(
            [0, 1, 3, -2, 2, 0, 0, 0], [Intervention(.force(experts: [0, 1, 7]))])
        #expect(experts == [1, 0, 7])
        let expected: Float = Float(M_E) / (Float(M_E) + 2)
        #expect(abs(weights[0] - expected) < 1e-6)
    }

    @Test func topKChangesTheNumberOfChoices() throws {
        let one = try route([0, 1, 3, -2, 2, 0, 0, 0], [Intervention(.topK(1))])
        #expect(one.experts == [2, 8], "an unused choice has the index E")
        #expect(one.weights == [1, 0])
        let three = try route([0, 1, 3, -2, 2, 0, 0, 0], [Intervention(.topK(3))])
        #expect(three.experts == [2, 4, 1])
        #expect(abs(three.weights.reduce(0, +) - 1) < 1e-6)
    }

    @Test func weightsAfterTheChoice() throws {
        let z: [Float] = [0, 1, 3, -2, 2, 0, 0, 0]
        let plain = try route(z).weights
        #expect(try route(z, [Intervention(.ablate(experts: [2], renormalize: false))]).weights == [0, plain[1]])
        #expect(try route(z, [Intervention(.ablate(experts: [2], renormalize: true))]).weights == [0, 1])
        #expect(try route(z, [Intervention(.scale(experts: [4], by: 0.5))]).weights == [plain[0], plain[1] * 0.5])
        #expect(try route(z, [Intervention(.replace(expert: 4, with: 6))]).experts == [2, 6])
    }

    /// Exclusion and steering act on the router's own logits, which the hook then shows.
    private func logits(_ interventions: [Intervention]) throws -> HookRecorder {
        let seen = HookRecorder()
        var plan = try HookPlan(observing: ["router_logits", "expert_indices"], layerCount: 2)
        plan.interventions = interventions
        _ = try model.forward(SmallModel.batch, plan: plan, observer: seen)
        return seen
    }

    @Test func excludedExpertsAreNeverChosen() throws {
        let chosen = try #require(logits([Intervention(.exclude(experts: [1, 5]))]).indices(indices))
        #expect(!chosen.contains(1) && !chosen.contains(5) && chosen.count == 348 * 2)
    }

    @Test func steering() throws {
        let point = HookPoint(.routerLogits, layer: 0)
        let plain = try #require(logits([]).floats(point))
        let soft = try #require(logits([Intervention(.steer(experts: [3], by: 0.5))]).floats(point))
        let row = Array(plain[8..<16])
        let mean = row.reduce(0, +) / 8
        let squares = row.map { ($0 - mean) * ($0 - mean) }
        let deviation = (squares.reduce(0, +) / 8).squareRoot()
        let steered: Float = row[3] + 0.5 * deviation
        #expect(abs(soft[8 + 3] - steered) < 1e-5)
        #expect(soft[8 + 4] == row[4])
        let hard = try #require(logits([Intervention(.steerHard(experts: [3]))]).indices(indices))
        #expect(stride(from: 0, to: hard.count, by: 2).allSatisfy { hard[$0] == 3 })
    }

    @Test func scopesRestrict() throws {
        let plain = try #require(logits([]).indices(indices))
        let scope = Intervention.Scope(layers: [0], positions: [3], groups: ["en"])
        let seen = try logits([Intervention(.steerHard(experts: [6]), in: scope)])
        let steered = try #require(seen.indices(indices))
        // Position 3 exists in the documents "en" (7 tokens, rows 41…); the first document has one token only.
        for row in 0..<348 where row != 44 { #expect(steered[row * 2] == plain[row * 2]) }
        #expect(steered[44 * 2] == 6)
    }

    @Test func randomRoutingDependsOnTheDocumentNotTheBatch() throws {
        let batch = SmallModel.batch
        var plan = try HookPlan(observing: ["expert_indices"], layers: [0], layerCount: 2)
        plan.interventions = [Intervention(.randomRouting(seed: 9))]
        let together = HookRecorder()
        _ = try model.forward(batch, plan: plan, observer: together)
        let alone = HookRecorder()
        let rows = batch.documents[3]
        _ = try model.forward(
            TokenBatch([Array(batch.tokens[rows])], firstDocument: 3), plan: plan, observer: alone)
        let chosen = try #require(together.indices(indices))
        let slots = rows.lowerBound * 2..<rows.upperBound * 2
        #expect(Array(chosen[slots]) == alone.indices(indices))
        var counts = [Int](repeating: 0, count: 8)
        for expert in chosen { counts[Int(expert)] += 1 }
        #expect(counts.allSatisfy { $0 > 40 }, "about 87 each: \(counts)")
    }

    @Test func impossibleInterventionsAreErrors() throws {
        for action: Intervention.Action in [
            .ablate(experts: [8], renormalize: false), .topK(9), .exclude(experts: Array(0..<8)), .force(experts: []),
            .replace(expert: 0, with: -1),
        ] {
            #expect(throws: HookError.self) { try logits([Intervention(action)]) }
        }
    }
}
