import CAllocationCount
import Checkpoints
import Hooks
import MoEModel
import TestSupport
import Testing

/// Sessions of models with latent attention: what the cache holds is the latent, and numbers are those of one pass.
struct LatentSessionTests {
    let tokens = (0..<44).map { Int32(($0 * 37 + 11) % 67) }

    private func model(_ name: String, _ precision: Precision = .exact) throws -> Model {
        try Model(
            Checkpoint.open(Fixtures.folder.appending(path: "families/\(name)")), precision: precision, threads: 2)
    }

    /// Logits of one pass, [T, V].
    private func reference(_ model: Model) throws -> [Float] {
        let seen = HookRecorder()
        let plan = try HookPlan(observing: ["logits"], layerCount: model.config.layerCount)
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen)
        return try #require(seen.floats(HookPoint(.logits)))
    }

    private func editing(_ point: HookPoint) -> HookPlan {
        var plan = HookPlan()
        plan.edited = [point]
        return plan
    }

    /// `ParityTests` holds one pass against transformers to 10⁻³; sessions agree with it more closely than that.
    @Test(arguments: ["deepseek_v2", "deepseek_v3", "deepseek2-split.gguf"])
    func readingTokenByTokenEqualsOnePass(name: String) throws {
        let model = try model(name)
        let expected = try reference(model)
        let size = model.config.vocabularySize
        for pieces in [[Int](repeating: 1, count: 44), [44], [7, 1, 30, 6]] {
            let session = try Session(model)
            var end = 0
            for piece in pieces {
                let logits = try session.append(Array(tokens[end..<end + piece]))
                end += piece
                let row = expected[(end - 1) * size..<end * size]
                #expect(zip(logits, row).map { abs($0 - $1) }.max() ?? 1 < 1e-4, "\(pieces.count) pieces, after \(end)")
            }
        }
    }

    /// Keys and values of every head would be 2 layers · 2 · 4 heads · 16 · 4 bytes, 1024 a layer.
    @Test func aTokenTakesTheLatentAndWhatHeadsShare() throws {
        let config = try model("deepseek_v2").config
        #expect(CacheType.f32.bytesPerToken(config) == config.layerCount * (16 + 4) * 4)
        #expect(CacheType.f16.bytesPerToken(config) == config.layerCount * (16 + 4) * 2)
    }

    @Test(arguments: ["deepseek_v3", "deepseek2-split.gguf"])
    func hooksSeeWhatOnePassSees(name: String) throws {
        let model = try model(name)
        let names = ["attn.k", "attn.v", "attn.rot_k", "attn.q", "attn.kv_latent", "attn.z", "attn.pattern"]
        let plan = try HookPlan(observing: names + ["attn.summary"], layers: [1], layerCount: model.config.layerCount)
        let whole = HookRecorder()
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: whole)
        let session = try Session(model)
        _ = try session.append(Array(tokens[..<40]))
        let last = HookRecorder()
        let logits = try session.append(Array(tokens[40...]), plan: plan, observer: last)
        for name in names where name != "attn.pattern" {
            let point = try HookPoint(#require(HookSite(rawValue: name)), layer: 1)
            let (all, new) = (try #require(whole.floats(point)), try #require(last.floats(point)))
            #expect(new.count == all.count / 11, "\(name)")
            #expect(zip(new, all.suffix(new.count)).allSatisfy { abs($0 - $1) < 1e-4 }, "\(name)")
        }
        let pattern = HookPoint(.pattern, layer: 1)
        #expect(last.shape(pattern) == [4, 4, 44])
        let (all, new) = (try #require(whole.floats(pattern)), try #require(last.floats(pattern)))
        for head in 0..<4 {
            let (mine, theirs) = (new[head * 176..<(head + 1) * 176], all[(head * 44 + 40) * 44..<(head + 1) * 44 * 44])
            #expect(zip(mine, theirs).allSatisfy { abs($0 - $1) < 1e-5 })
        }
        // Five statistics of four heads: the same for the last rows.
        let summary = HookPoint(.attentionSummary, layer: 1)
        let (every, few) = (try #require(whole.floats(summary)), try #require(last.floats(summary)))
        for row in 0..<20 {
            #expect((0..<4).allSatisfy { abs(few[row * 4 + $0] - every[row * 44 + 40 + $0]) < 1e-4 })
        }
        // Looking changes nothing.
        let blind = try Session(model)
        _ = try blind.append(Array(tokens[..<40]))
        #expect(try blind.append(Array(tokens[40...])) == logits)
    }

    @Test func keysCannotBeEditedWhereTheLatentIsKept() throws {
        let model = try model("deepseek_v2")
        let session = try Session(model)
        let double = Edit { _, values in for index in values.indices { values[index] *= 2 } }
        let keys = editing(HookPoint(.key, layer: 1))
        #expect(throws: ModelError.self) { try session.append(tokens, plan: keys, editor: double) }
        // One pass can, and a session can where the latent is edited instead.
        _ = try model.forward(TokenBatch([tokens]), plan: keys, editor: double)
        let latent = editing(HookPoint(.keyValueLatent, layer: 1))
        let recorder = HookRecorder()
        var plan = latent
        plan.observed = [HookPoint(.logits)]
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: recorder, editor: double)
        let expected = try #require(recorder.floats(HookPoint(.logits))).suffix(model.config.vocabularySize)
        let edited = try session.append(tokens, plan: latent, editor: double)
        #expect(zip(edited, expected).allSatisfy { abs($0 - $1) < 1e-4 })
    }

    @Test(arguments: ["deepseek_v2", "deepseek2-split.gguf"])
    func decodingAllocatesNothing(name: String) throws {
        for precision in Model.precisions {
            let session = try Session(model(name, precision))
            var logits = try session.append(tokens)
            for token in tokens[..<4] { try session.decode(token, into: &logits) }
            let before = allocation_count()
            for token in tokens[4..<36] { try session.decode(token, into: &logits) }
            #expect(allocation_count() - before == 0, "\(precision)")
        }
    }
}
