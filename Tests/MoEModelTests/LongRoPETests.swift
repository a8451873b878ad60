import Checkpoints
import Hooks
import MoEModel
import TestSupport
import Testing

/// A session over a LongRoPE model gives, at every length, what one pass over the whole text gives: transformers throws the cache
/// away where a text first passes its original context (`PhimoeForCausalLM.prepare_inputs_for_generation`).
struct LongRoPETests {
    private let tokens: [Int32] = (0..<44).map { Int32(($0 * 37 + 5) % 67) }

    private func load() throws -> Model {
        let model = try Model(
            Checkpoint.open(Fixtures.folder.appending(path: "families/phimoe")), precision: .exact, threads: 1)
        let scaling = try #require(model.config.attention.rotary.scaling)
        #expect(scaling.kind == .longRope && scaling.originalContext == 30)
        return model
    }

    private func whole(_ model: Model, _ count: Int, _ name: String = "logits") throws -> [Float] {
        let seen = HookRecorder()
        let plan = try HookPlan(observing: [name], layerCount: 2)
        _ = try model.forward(TokenBatch([Array(tokens[..<count])]), plan: plan, observer: seen)
        let point = try #require(plan.observed.first)
        return try #require(seen.floats(point))
    }

    private func expect(_ logits: [Float], equal model: Model, after count: Int) throws {
        let expected = Array(try whole(model, count).suffix(67))
        let far = zip(logits, expected).map { abs($0 - $1) }.max() ?? 0
        #expect(far < 1e-4, "after \(count) tokens: \(far)")
    }

    @Test func tokenByToken() throws {
        let model = try load()
        let session = try Session(model)
        var logits = try session.append([tokens[0]])
        for count in 2...44 {
            try session.decode(tokens[count - 1], into: &logits)
            try expect(logits, equal: model, after: count)
        }
        #expect(session.tokens == tokens)
    }

    /// A prompt in pieces knows its whole length, so that what observers see of the first piece is right as well.
    @Test func aPromptInPieces() throws {
        let model = try load()
        let session = try Session(model)
        try session.announce(44)
        let plan = try HookPlan(observing: ["blocks.1.router_logits"], layerCount: 2)
        let seen = HookRecorder()
        for start in stride(from: 0, to: 44, by: 9) {
            let piece = Array(tokens[start..<min(44, start + 9)])
            let logits = try session.append(piece, plan: plan, observer: seen)
            if start + 9 >= 44 { try expect(logits, equal: model, after: 44) }
        }
        let found = try #require(seen.floats(HookPoint(.routerLogits, layer: 1)))
        let expected = try whole(model, 44, "blocks.1.router_logits")
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    }

    /// A second turn takes a conversation past the original context; going back brings the short factors back.
    @Test func turnsOnBothSides() throws {
        let model = try load()
        let session = try Session(model)
        try expect(try session.append(Array(tokens[..<20])), equal: model, after: 20)
        try expect(try session.append(Array(tokens[20..<44])), equal: model, after: 44)
        session.truncate(to: 10)
        try expect(try session.append([tokens[10]]), equal: model, after: 11)
    }

    /// What is read again is changed again.
    @Test func interventionsHoldOnBothSides() throws {
        let model = try load()
        var plan = HookPlan()
        plan.edited = Set(try HookPoint.named("blocks.0.resid_post", layerCount: 2))
        let edit = Edit { _, values in for index in values.indices { values[index] *= 0.5 } }
        let session = try Session(model)
        _ = try session.append(Array(tokens[..<20]), plan: plan, editor: edit)
        let logits = try session.append(Array(tokens[20..<44]), plan: plan, editor: edit)
        let seen = HookRecorder()
        plan.observed = [HookPoint(.logits)]
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen, editor: edit)
        let expected = Array(try #require(seen.floats(HookPoint(.logits))).suffix(67))
        #expect(zip(logits, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    }
}
