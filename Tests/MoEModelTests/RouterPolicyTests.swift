import Checkpoints
import Foundation
import Hooks
import MoEModel
import RouterPolicies
import TestSupport
import Testing

/// Policies other than a softmax, with logits chosen by hand and written through the hook of the router.
struct RouterPolicyTests {
    private func route(_ family: String, layer: Int, _ logits: [Float]) throws -> HookRecorder {
        let model = try Model(
            Checkpoint.open(Fixtures.folder.appending(path: "families/\(family)")), precision: .exact, threads: 1)
        var plan = try HookPlan(
            observing: ["router_scores", "router_probs", "expert_indices", "expert_weights"], layers: [layer],
            layerCount: model.config.layerCount, expertLayers: model.config.expertLayers)
        plan.edited = [HookPoint(.routerLogits, layer: layer)]
        let seen = HookRecorder()
        _ = try model.forward(TokenBatch([[5]]), plan: plan, observer: seen, editor: Edit { _, z in z = logits })
        return seen
    }

    private func sigmoid(_ z: Float) -> Float { 1 / (1 + exp(-z)) }

    private func bias(_ family: String, layer: Int) throws -> [Float] {
        let checkpoint = try Checkpoint.open(Fixtures.folder.appending(path: "families/\(family)"))
        let tensor = try #require(checkpoint.tensors.layers[layer].experts?.selectionBias)
        return Array(tensor.bytes.bindMemory(to: Float.self))
    }

    /// Scores are σ(z), probabilities s / Σ s; the bias chooses and does not weigh (`Dots1TopkRouter`).
    @Test func aBiasCountsForChoosingOnly() throws {
        let z: [Float] = [0.5, -1, 2, 0, 1, -2, 0.25, 1.5]
        let seen = try route("dots1", layer: 1, z)
        let scores = z.map(sigmoid)
        let shown = try #require(seen.floats(HookPoint(.routerScores, layer: 1)))
        let sum = scores.reduce(0, +)
        let probabilities = try #require(seen.floats(HookPoint(.routerProbs, layer: 1)))
        for expert in z.indices {
            #expect(abs(shown[expert] - scores[expert]) < 1e-6)
            #expect(abs(probabilities[expert] - scores[expert] / sum) < 1e-6)
        }
        let bias = try bias("dots1", layer: 1)
        let chosen = z.indices.sorted { scores[$0] + bias[$0] > scores[$1] + bias[$1] }.prefix(3)
            .sorted { scores[$0] > scores[$1] }
        #expect(seen.indices(HookPoint(.expertIndices, layer: 1)) == chosen.map(Int32.init))
        let total = chosen.reduce(Float(0)) { $0 + scores[$1] }
        let weights = try #require(seen.floats(HookPoint(.expertWeights, layer: 1)))
        for (weight, expert) in zip(weights, chosen) { #expect(abs(weight - scores[expert] / total * 2.5) < 1e-5) }
    }

    /// Twelve experts in four groups; the two groups whose two best sum to most are kept.
    @Test func groupsAreChosenFirst() throws {
        // Without biases group 2 (experts 6 to 8) and group 1 would have the best pairs.
        let z: [Float] = [4, -9, -9, 1, 1, 1, 2, 2, 0, -9, 3.5, -9]
        let bias = try bias("dots1-groups", layer: 0)
        let biased = z.indices.map { sigmoid(z[$0]) + bias[$0] }
        let pairs = (0..<4).map { biased[$0 * 3..<$0 * 3 + 3].sorted(by: >).prefix(2).reduce(0, +) }
        let kept = Set(pairs.indices.sorted { pairs[$0] > pairs[$1] }.prefix(2))
        let chosen = z.indices.filter { kept.contains($0 / 3) }.sorted { biased[$0] > biased[$1] }.prefix(3)
            .sorted { (z[$0], $1) > (z[$1], $0) }
        let seen = try route("dots1-groups", layer: 0, z)
        #expect(seen.indices(HookPoint(.expertIndices, layer: 0)) == chosen.map(Int32.init))
        let weights = try #require(seen.floats(HookPoint(.expertWeights, layer: 0)))
        for (weight, expert) in zip(weights, chosen) { #expect(abs(weight - sigmoid(z[expert])) < 1e-6) }
    }

    /// ERNIE: softmax scores with a bias, divided by a sum that is at least 1e-12 (`Ernie4_5_MoeTopKRouter`).
    @Test func aLeastSum() throws {
        var policy = RouterPolicy.softmax(expertsPerToken: 2, normalizes: true)
        policy.weigh.leastSum = 1e-12
        let coded = try JSONDecoder().decode(RouterPolicy.self, from: JSONEncoder().encode(policy))
        #expect(coded == policy)
        let older = #"{"normalizes": true, "epsilon": 0, "scale": 1}"#
        #expect(try JSONDecoder().decode(RouterPolicy.Weighing.self, from: Data(older.utf8)).leastSum == nil)
    }

    /// An edit of the scores is what experts are chosen by.
    @Test func editedScoresChoose() throws {
        let model = try SmallModel.load()
        let point = HookPoint(.routerScores, layer: 0)
        var plan = try HookPlan(observing: ["expert_indices"], layers: [0], layerCount: 2)
        plan.edited = [point]
        let seen = HookRecorder()
        _ = try model.forward(
            TokenBatch([[5]]), plan: plan, observer: seen,
            editor: Edit { _, s in s = [0, 0, 0, 0.25, 0, 0, 0.5, 0] })
        #expect(seen.indices(HookPoint(.expertIndices, layer: 0)) == [6, 3])
    }
}
