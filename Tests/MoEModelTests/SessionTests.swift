import Hooks
import MoEModel
import Testing

struct SessionTests {
    let tokens = Array(SmallModel.batch.tokens[SmallModel.batch.documents[1]])

    /// Logits of the last row of one pass over all tokens.
    private func reference(_ model: Model, _ tokens: [Int32]) throws -> [Float] {
        let seen = Recorder()
        let plan = try HookPlan(observing: ["logits"], layerCount: 2)
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen)
        return Array(try #require(seen.floats[HookPoint(.logits)]).suffix(131))
    }

    @Test func decodingEqualsPrefill() throws {
        let model = try SmallModel.load()
        let session = Session(model)
        for end in 1...tokens.count {
            let logits = try session.append([tokens[end - 1]])
            let expected = try reference(model, Array(tokens[..<end]))
            let difference = zip(logits, expected).map { abs($0 - $1) }.max() ?? 0
            #expect(difference < 1e-4, "after \(end) tokens")
        }
    }

    @Test func piecesAndGoingBack() throws {
        let model = try SmallModel.load()
        let session = Session(model)
        _ = try session.append(Array(tokens[..<25]))
        _ = try session.append([1, 2, 3])
        session.truncate(to: 25)
        let seen = Recorder()
        let plan = try HookPlan(observing: ["attn.pattern", "expert_indices"], layers: [1], layerCount: 2)
        let logits = try session.append(Array(tokens[25...]), plan: plan, observer: seen)
        #expect(session.tokens == tokens)
        let expected = try reference(model, tokens)
        #expect(zip(logits, expected).allSatisfy { abs($0 - $1) < 1e-4 })
        #expect(seen.shapes[HookPoint(.pattern, layer: 1)] == [4, 15, 40])
        let rows = try #require(seen.floats[HookPoint(.pattern, layer: 1)])
        #expect(abs(rows[..<40].reduce(0, +) - 1) < 1e-5 && rows[26] == 0)
    }

    @Test func theContextIsNotRunPast() throws {
        let session = Session(try SmallModel.load())
        #expect(throws: ModelError.contextExceeded(document: 0, tokens: 4097, contextLength: 4096)) {
            try session.append([Int32](repeating: 1, count: 4097))
        }
        #expect(session.tokens.isEmpty)
    }

    @Test func samplerKeepsWhatItShould() {
        let logits: [Float] = [1, 4, 4, 0, 3]
        var greedy = Sampler()
        #expect(greedy.next(logits) == 1)
        var penalized = Sampler()
        penalized.repetitionPenalty = 2
        #expect(penalized.next(logits, seen: [1, 2]) == 4)
        var two = Sampler(seed: 4)
        two.temperature = 1
        two.topK = 2
        let chosen = Set((0..<200).map { _ in two.next(logits) })
        #expect(chosen == [1, 2])
        var nucleus = Sampler(seed: 5)
        nucleus.temperature = 1
        nucleus.topP = 0.01
        #expect(Set((0..<50).map { _ in nucleus.next(logits) }) == [1])
        var close = Sampler(seed: 6)
        close.temperature = 1
        close.minP = 0.3
        #expect(Set((0..<300).map { _ in close.next(logits) }) == [1, 2, 4])
    }
}
