import CAllocationCount
import Hooks
import MoEModel
import Testing

struct SessionTests {
    let tokens = Array(SmallModel.batch.tokens[SmallModel.batch.documents[1]])

    /// Logits of the last row of one pass over all tokens.
    private func reference(_ model: Model, _ tokens: [Int32]) throws -> [Float] {
        let seen = HookRecorder()
        let plan = try HookPlan(observing: ["logits"], layerCount: model.config.layerCount)
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen)
        return Array(try #require(seen.floats(HookPoint(.logits))).suffix(model.config.vocabularySize))
    }

    @Test func decodingEqualsPrefill() throws {
        let model = try SmallModel.load()
        let session = try Session(model)
        for end in 1...tokens.count {
            let logits = try session.append([tokens[end - 1]])
            let expected = try reference(model, Array(tokens[..<end]))
            let difference = zip(logits, expected).map { abs($0 - $1) }.max() ?? 0
            #expect(difference < 1e-4, "after \(end) tokens")
        }
    }

    @Test func piecesAndGoingBack() throws {
        let model = try SmallModel.load()
        let session = try Session(model)
        _ = try session.append(Array(tokens[..<25]))
        _ = try session.append([1, 2, 3])
        session.truncate(to: 25)
        let seen = HookRecorder()
        let plan = try HookPlan(observing: ["attn.pattern", "expert_indices"], layers: [1], layerCount: 2)
        let logits = try session.append(Array(tokens[25...]), plan: plan, observer: seen)
        #expect(session.tokens == tokens)
        let expected = try reference(model, tokens)
        #expect(zip(logits, expected).allSatisfy { abs($0 - $1) < 1e-4 })
        #expect(seen.shape(HookPoint(.pattern, layer: 1)) == [4, 15, 40])
        let rows = try #require(seen.floats(HookPoint(.pattern, layer: 1)))
        #expect(abs(rows[..<40].reduce(0, +) - 1) < 1e-5 && rows[26] == 0)
    }

    /// Mean difference of the logits to one exact pass, over every step, with keys and values kept as `type`.
    /// The mean, because rounding may turn a close choice of experts, and that moves all logits of a row.
    private func error(_ model: Model, _ type: CacheType, _ tokens: [Int32]) throws -> Float {
        let session = try Session(model, cache: type)
        #expect(session.cacheType == type)
        var total: Float = 0
        for end in 1...tokens.count {
            let logits = try session.append([tokens[end - 1]])
            let expected = try reference(model, Array(tokens[..<end]))
            total += zip(logits, expected).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(expected.count)
        }
        return total / Float(tokens.count)
    }

    @Test func aSmallerCacheIsNearlyAsExact() throws {
        let model = try SmallModel.polyglot()
        let (half, bytes) = (try error(model, .f16, tokens), try error(model, .q8_0, tokens))
        #expect(half > 0 && half < 1e-3, "f16 \(half)")
        #expect(bytes > half && bytes < 5e-2, "q8_0 \(bytes)")
    }

    /// What hooks see is what attention used: keys as they are kept, also after the cache has grown.
    @Test func aGrowingCacheKeepsEveryHead() throws {
        let model = try SmallModel.polyglot()
        let long = (0..<600).map { Int32($0 * 7 % 131) }
        let whole = try Session(model, cache: .f16)
        let expected = try whole.append(long)
        let grown = try Session(model, cache: .f16)
        for start in stride(from: 0, to: 500, by: 100) { _ = try grown.append(Array(long[start..<start + 100])) }
        let seen = HookRecorder()
        let plan = try HookPlan(observing: ["attn.pattern"], layers: [0], layerCount: 6)
        let logits = try grown.append(Array(long[500...]), plan: plan, observer: seen)
        #expect(zip(logits, expected).allSatisfy { abs($0 - $1) < 1e-4 })
        let pattern = try #require(seen.floats(HookPoint(.pattern, layer: 0)))
        #expect(pattern.count == model.config.attention.headCount * 100 * 600)
        #expect(abs(pattern[..<600].reduce(0, +) - 1) < 1e-5)
    }

    @Test(arguments: [CacheType.f32, .f16, .q8_0])
    func decodingAllocatesNothing(cache: CacheType) throws {
        for precision in Model.precisions {
            let session = try Session(SmallModel.polyglot(precision: precision), cache: cache)
            var logits = try session.append(tokens)
            for token in tokens[..<4] { try session.decode(token, into: &logits) }
            let before = allocation_count()
            for token in tokens[4..<36] { try session.decode(token, into: &logits) }
            let allocations = allocation_count() - before
            #expect(allocations == 0, "\(precision) over a \(cache) cache")
            #expect(session.tokens == tokens + tokens[..<36])
        }
    }

    @Test func decodingGivesWhatAppendingGives() throws {
        let model = try SmallModel.polyglot()
        let (one, other) = (try Session(model), try Session(model))
        var logits = try one.append(tokens)
        #expect(try logits == other.append(tokens))
        for token in tokens[..<3] {
            try one.decode(token, into: &logits)
            #expect(try logits == other.append([token]))
        }
    }

    @Test func headsThatAreNotWholeBlocksAreRefused() throws {
        let model = try SmallModel.load()
        #expect(throws: ModelError.self) { try Session(model, cache: .q8_0) }
        #expect(try Session(model).cacheType == .f32)
        #expect(try Session(SmallModel.load(precision: .fast)).cacheType == .f16)
    }

    @Test func theContextIsNotRunPast() throws {
        let session = try Session(SmallModel.load())
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
