import Checkpoints
import Tracing
import FileFormats
import Foundation
import Hooks
import MoEModel
import TestSupport
import Testing
import Traces

/// What a trace may hold beside routing: predicted tokens, and experts guessed layers ahead.
@Suite struct CaptureTests {
    private func model() throws -> Model {
        try Model(
            try Checkpoint.open(Fixtures.folder.appending(path: "parity/grouped")), precision: .exact, threads: 2)
    }

    private func choice(_ model: Model, _ layer: Int, _ residual: [Float]?) -> [Int32] {
        var result: [Int32] = []
        residual?.withUnsafeBufferPointer { model.routerChoice(layer: layer, residual: $0) { result = Array($0) } }
        return result
    }

    @Test func guessesAndPredictionsAreWhatTheModelSays() throws {
        let model = try model()
        let (L, K, V) = (model.config.layerCount, model.config.expertsPerToken, model.config.vocabularySize)
        let texts = [1, 9, 30].map { length in (0..<Int32(length)).map { ($0 * 37 + Int32(length)) % Int32(V) } }
        let corpus = Corpus(
            source: "test",
            documents: texts.enumerated().map { .init(id: "\($0)", group: "a", content: .tokens($1)) })
        var options = TraceOptions()
        options.predicted = true
        options.speculative = TraceOptions.speculativeDistances
        let folder = FileManager.default.temporaryDirectory.appending(path: "capture-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let run = try TraceRun(model: model, tokenizer: nil, corpus: corpus, options: options, version: "0")
        try run.run(into: folder)
        #expect(try Trace.verify(folder).isEmpty)
        let trace = try Trace(folder: folder)
        #expect(trace.layout.speculative == [1, 2, 10] && trace.layout.guessedLayers(ahead: 2).isEmpty == (L <= 2))

        // The same pass, with what the recorder saw.
        let keeper = HookRecorder()
        var plan = HookPlan()
        plan.observed = [HookPoint(.logits)]
        for layer in 0..<L {
            plan.observed.formUnion([HookPoint(.residMid, layer: layer), HookPoint(.expertIndices, layer: layer)])
        }
        _ = try model.forward(TokenBatch(texts), plan: plan, observer: keeper)
        let shard = try trace.shard(0)
        for layer in 0..<L {
            let residual = keeper.floats(HookPoint(.residMid, layer: layer))
            // No layer ahead: the router's own choice.
            #expect(choice(model, layer, residual) == keeper.indices(HookPoint(.expertIndices, layer: layer)))
            for ahead in [1, 2, 10] {
                var guesses: [UInt16] = []
                let isThere = shard.readGuesses(ahead: ahead, layer: layer + ahead, into: &guesses)
                #expect(isThere == (layer + ahead < L))
                guard isThere else { continue }
                #expect(guesses.map(Int32.init) == choice(model, layer + ahead, residual))
                #expect(guesses.count == shard.rowCount * K)
            }
        }
        var predicted: [Int32] = []
        shard.readPredicted(into: &predicted)
        let logits = try #require(keeper.floats(HookPoint(.logits)))
        for document in shard.documents {
            for row in document.rows {
                let own = logits[row * V..<(row + 1) * V]
                let best = own.indices.max { (own[$0], $1) < (own[$1], $0) }.map { Int32($0 - row * V) }
                #expect(predicted[row] == (row == document.rows.upperBound - 1 ? -1 : best))
            }
        }
    }

    @Test func tracesWithoutThemAreAsBefore() throws {
        let model = try model()
        let corpus = Corpus(source: "test", documents: [.init(id: "a", group: "a", content: .tokens([1, 2, 3]))])
        let folder = FileManager.default.temporaryDirectory.appending(path: "capture-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try TraceRun(model: model, tokenizer: nil, corpus: corpus, options: TraceOptions(), version: "0").run(
            into: folder)
        let manifest = try String(contentsOf: folder.appending(path: "manifest.json"), encoding: .utf8)
        #expect(!manifest.contains("predicted") && !manifest.contains("speculative"))
        let shard = try SafetensorsFile(folder.appending(path: "shards/000000.safetensors"))
        #expect(shard["predicted"] == nil && shard["expert_guesses_1"] == nil)
    }
}
