import Checkpoints
import Foundation
import Hooks
import MoEModel
import TestSupport
import Testing

/// Learned attention sinks (gpt-oss): a share of every row of the pattern that goes nowhere.
@Suite struct SinkTests {
    let model: Model
    let tokens: [Int32] = (0..<40).map { Int32($0 * 7 % 67) }

    init() throws {
        model = try Model(Checkpoint.open(Fixtures.folder.appending(path: "families/gpt_oss")), precision: .exact)
    }

    private func run(_ names: [String], _ tokens: [Int32]) throws -> HookRecorder {
        let seen = HookRecorder()
        let plan = try HookPlan(observing: names, layerCount: 2)
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen)
        return seen
    }

    /// Rows of the pattern and the sink's share sum to 1, and the summary is that of the pattern with the sink as one more place.
    @Test(arguments: [0, 1]) func patternAndSinkSumToOne(layer: Int) throws {
        let seen = try run(["attn.pattern", "attn.sink", "attn.summary"], tokens)
        let pattern = try #require(seen.floats(HookPoint(.pattern, layer: layer)))
        let sinks = try #require(seen.floats(HookPoint(.sinks, layer: layer)))
        let summary = try #require(seen.floats(HookPoint(.attentionSummary, layer: layer)))
        let count = tokens.count
        for head in 0..<4 {
            for row in 0..<count {
                let weights = (0..<count).map { Double(pattern[(head * count + row) * count + $0]) }
                let sink = Double(sinks[head * count + row])
                #expect(sink > 0)
                #expect(abs(weights.reduce(sink, +) - 1) < 1e-5)
                func statistic(_ index: Int) -> Double { Double(summary[(index * 4 + head) * count + row]) }
                let entropy = (weights + [sink]).reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
                #expect(abs(statistic(0) - entropy) < 1e-4)
                #expect(abs(statistic(1) - weights[0]) < 1e-5)
                #expect(abs(statistic(2) - (row > 0 ? weights[row - 1] : 0)) < 1e-5)
                let distance = weights.enumerated().reduce(0) { $0 + $1.element * Double(row - $1.offset) }
                #expect(abs(statistic(3) - distance) < 1e-3)
                #expect(abs(statistic(4) - (weights.max() ?? 0)) < 1e-5)
            }
        }
    }

    /// Token by token over a cache as in one pass.
    @Test func decodingEqualsOnePass() throws {
        let whole = try run(["attn.sink", "router_logits"], tokens)
        let session = try Session(model, cache: .f32)
        _ = try session.append(Array(tokens.dropLast()))
        let seen = HookRecorder()
        let plan = try HookPlan(observing: ["attn.sink", "router_logits"], layerCount: 2)
        _ = try session.append([tokens[39]], plan: plan, observer: seen)
        for layer in 0..<2 {
            let all = try #require(whole.floats(HookPoint(.sinks, layer: layer)))
            let last = try #require(seen.floats(HookPoint(.sinks, layer: layer)))
            for head in 0..<4 { #expect(abs(all[head * 40 + 39] - last[head]) < 1e-5) }
            let logits = try #require(whole.floats(HookPoint(.routerLogits, layer: layer)))
            let own = try #require(seen.floats(HookPoint(.routerLogits, layer: layer)))
            for expert in 0..<8 { #expect(abs(logits[39 * 8 + expert] - own[expert]) < 1e-4) }
        }
    }

    @Test func othersHaveNone() throws {
        let plan = try HookPlan(observing: ["attn.sink"], layerCount: 2)
        let other = try SmallModel.load()
        #expect(throws: HookError.noSinks("blocks.0.attn.sink")) {
            var one = HookPlan()
            one.observed = [HookPoint(.sinks, layer: 0)]
            _ = try other.forward(SmallModel.batch, plan: one)
        }
        #expect(plan.observed.count == 2)
    }
}
