import Checkpoints
import Foundation
import Hooks
import MoEModel
import TestSupport
import Testing
import Tokenizers

/// Models computed with the products of AMX, on any processor, by their twin in plain C.
@Suite struct TileModelTests {
    /// Runs `body` with the twin; false where the processor cannot run it (x86-64 without AVX2).
    private func withTwin(_ body: () throws -> Void) rethrows {
        let ran: Void? = try Model.withInstructionSet("amx-twin") {
            #expect(Model.instructionSet == "amx-twin")
            try body()
        }
        if ran == nil { print("no twin of AMX on this processor") }
    }

    @Test(arguments: [Precision.fast, .precise], ["parity/grouped", "families/gpt_oss-mxfp4"])
    func documentsDoNotFeelEachOther(precision: Precision, name: String) throws {
        try withTwin {
            let checkpoint = try Checkpoint.open(Fixtures.folder.appending(path: name))
            let model = try Model(checkpoint, precision: precision, threads: 2)
            let documents: [[Int32]] = SmallModel.batch.documents.map { rows in
                SmallModel.batch.tokens[rows].map { $0 % Int32(model.config.vocabularySize) }
            }
            let together = try model.forward(TokenBatch(documents)).logprob
            var alone: [Float] = []
            for document in documents { alone += try model.forward(TokenBatch([document])).logprob }
            #expect(together.map(\.bitPattern) == alone.map(\.bitPattern))
            let single = try Model(checkpoint, precision: precision, threads: 1)
            let one = try single.forward(TokenBatch(documents)).logprob
            #expect(one.map(\.bitPattern) == together.map(\.bitPattern))
        }
    }

    /// One row at a time gives the bits of all rows at once: decoding and tracing agree.
    @Test func oneRowHasTheBitsOfMany() throws {
        try withTwin {
            let model = try SmallModel.load(precision: .fast)
            let tokens = Array(SmallModel.batch.tokens[SmallModel.batch.documents[1]])
            let plan = try HookPlan(observing: ["router_logits"], layers: [0], layerCount: 2)
            let whole = HookRecorder()
            _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: whole)
            let all = try #require(whole.floats(HookPoint(.routerLogits, layer: 0)))
            for row in [0, 7] {
                let one = HookRecorder()
                _ = try model.forward(TokenBatch([Array(tokens[...row])]), plan: plan, observer: one)
                let ours = try #require(one.floats(HookPoint(.routerLogits, layer: 0)))
                #expect(ours.map(\.bitPattern) == all.prefix(ours.count).map(\.bitPattern))
            }
        }
    }

    /// Rows that see 1,024 keys are multiplied on tiles: no bit depends on the wave, the threads or the pieces that a text is
    /// read in, and what hooks see is what attention used.
    @Test func longDocumentsOnTiles() throws {
        try withTwin {
            let model = try SmallModel.load(precision: .fast)
            let tokens = (0..<1100).map { (place: Int) in Int32((place * 37 + place * place) % 131) }
            let names = ["logits", "attn.z", "attn.pattern", "attn.summary"]
            let plan = try HookPlan(observing: names, layers: [0], layerCount: 2)
            let seen = HookRecorder()
            let alone = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen).logprob
            let documents = [Array(tokens[..<70]), tokens, Array(tokens[500..<1050])]
            let single = try SmallModel.load(precision: .fast, threads: 1)
            let together = try single.forward(TokenBatch(documents)).logprob
            #expect(together[70..<1170].map(\.bitPattern) == alone.map(\.bitPattern))

            let session = try Session(model, cache: .f32)
            for piece in [0..<1000, 1000..<1090, 1090..<1095] { _ = try session.append(Array(tokens[piece])) }
            var logits: [Float] = []
            for token in tokens[1095...] { logits = try session.append([token]) }
            let whole = try #require(seen.floats(HookPoint(.logits))).suffix(131)
            #expect(logits.map(\.bitPattern) == whole.map(\.bitPattern))

            let pattern = try #require(seen.floats(HookPoint(.pattern, layer: 0)))
            let summary = try #require(seen.floats(HookPoint(.attentionSummary, layer: 0)))
            for head in 0..<4 {
                for row in stride(from: 1000, to: 1100, by: 9) {
                    let begin = (head * 1100 + row) * 1100
                    let weights = pattern[begin..<begin + 1100]
                    let largest = summary[(4 * 4 + head) * 1100 + row], first = summary[(4 + head) * 1100 + row]
                    #expect(abs(largest - (weights.max() ?? 0)) < 1e-6)
                    #expect(abs(first - pattern[begin]) < 1e-6)
                }
            }
        }
    }

    /// polyglot over arbitrary tokens: `precise` keeps the bounds of `exact`; `fast` is as near as bf16 is.
    @Test func polyglotAgreesWithExact() throws {
        try withTwin {
            let texts: [[Int32]] = [300, 1277].map { (first: Int) in
                (0..<96).map { (place: Int) in Int32((first + 131 * place + 7 * place * place) % 4000 + 300) }
            }
            let batch = TokenBatch(texts)
            let exact = try routing(.exact, batch), precise = try routing(.precise, batch)
            let fast = try routing(.fast, batch)
            let worst = zip(exact.logits, precise.logits).map { abs($0 - $1) }.max() ?? 0
            let others = exact.experts(unlike: precise)
            print("polyglot, precise beside exact: router logits \(worst), other experts \(others.count)")
            #expect(worst < 2e-4)
            #expect(others.allSatisfy { $0 < 1e-3 })
            let difference = abs(exact.loss - fast.loss)
            print("polyglot, fast beside exact: NLL \(difference), other experts \(exact.experts(unlike: fast).count)")
            #expect(difference < 5e-3)
        }
    }

    /// The tracker's bound: another set of experts for at most 0.05 % of the choices, and the mean NLL within 1e-3 nats. Texts
    /// are every sixtieth of the held-out ones. With one plane of activations in every product 0.12 % of the choices are other
    /// ones.
    @Test func fastKeepsTheExpertsOfExact() throws {
        try withTwin {
            struct Document: Decodable { let text: String }
            let tokenizer = try TokenizerFile.open(Fixtures.polyglot.appending(path: "tokenizer.json"))
            let corpus = try Data(contentsOf: Fixtures.polyglot.appending(path: "heldout.jsonl"))
            let lines = corpus.split(separator: UInt8(ascii: "\n"))
            let texts = try stride(from: 0, to: lines.count, by: 60).map {
                [1] + tokenizer.encode(try JSONDecoder().decode(Document.self, from: lines[$0]).text)
            }
            let batch = TokenBatch(texts)
            let exact = try routing(.exact, batch), fast = try routing(.fast, batch)
            let others = exact.experts(unlike: fast).count, difference = abs(exact.loss - fast.loss)
            print("polyglot, held-out texts: \(others) of \(exact.chosen.count) choices, NLL \(difference)")
            #expect(exact.chosen.count == 6 * 3268)
            #expect(Double(others) <= 5e-4 * Double(exact.chosen.count))
            #expect(difference < 1e-3)
        }
    }

    private struct Routed {
        let logits: [Float]
        let chosen: [Set<Int32>]
        let experts: Int
        let loss: Double

        /// Margins of the choices that are other experts.
        func experts(unlike other: Routed) -> [Float] {
            chosen.indices.filter { chosen[$0] != other.chosen[$0] }.map { row in
                let sorted = logits[row * experts..<(row + 1) * experts].sorted(by: >)
                return sorted[chosen[row].count - 1] - sorted[chosen[row].count]
            }
        }
    }

    private func routing(_ precision: Precision, _ batch: TokenBatch) throws -> Routed {
        let model = try SmallModel.polyglot(precision: precision)
        let plan = try HookPlan(
            observing: ["router_logits", "expert_indices"], layerCount: model.config.layerCount,
            expertLayers: model.config.expertLayers)
        let seen = HookRecorder()
        let result = try model.forward(batch, plan: plan, observer: seen)
        let logits = try model.config.expertLayers.flatMap { layer in
            try #require(seen.floats(HookPoint(.routerLogits, layer: layer)))
        }
        let scored = result.logprob.filter { !$0.isNaN }
        return Routed(
            logits: logits, chosen: try seen.chosenExperts(model.config, tokens: result.logprob.count),
            experts: model.config.experts.count, loss: -Double(scored.reduce(0, +)) / Double(scored.count))
    }
}
