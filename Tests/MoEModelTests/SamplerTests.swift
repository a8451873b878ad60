import Foundation
import MoEModel
import TestSupport
import Testing

/// Against the logits processors of `transformers` (Tests/Fixtures/sampling).
struct SamplerTests {
    struct Case: Decodable {
        struct Options: Decodable {
            var temperature: Float
            var top_k: Int?
            var top_p: Float?
            var min_p: Float?
            var repetition_penalty: Float?
        }
        let options: Options
        let logits: [Float]
        let seen: [Int32]
        let tokens: [Int32]
        let probabilities: [Float]

        var sampler: Sampler {
            var sampler = Sampler(seed: 3)
            sampler.temperature = options.temperature
            sampler.topK = options.top_k ?? 0
            sampler.topP = options.top_p ?? 1
            sampler.minP = options.min_p ?? 0
            sampler.repetitionPenalty = options.repetition_penalty ?? 1
            return sampler
        }
    }

    static func cases() throws -> [Case] {
        let file = Fixtures.folder.appending(path: "sampling/cases.json")
        return try JSONDecoder().decode([Case].self, from: Data(contentsOf: file))
    }

    @Test func keepsWhatTransformersKeeps() throws {
        let cases = try Self.cases()
        #expect(cases.count == 12)
        for (index, item) in cases.enumerated() {
            let kept = item.sampler.candidates(item.logits, seen: item.seen)
            #expect(kept.map(\.token) == item.tokens, "case \(index)")
            for (candidate, expected) in zip(kept, item.probabilities) {
                #expect(abs(candidate.probability - expected) < 1e-5, "case \(index), token \(candidate.token)")
            }
        }
    }

    @Test func drawsAsOftenAsProbable() throws {
        let item = try Self.cases()[8]
        var sampler = item.sampler
        var counts: [Int32: Int] = [:]
        for _ in 0..<20_000 { counts[sampler.next(item.logits, seen: item.seen), default: 0] += 1 }
        #expect(Set(counts.keys) == Set(item.tokens))
        for (token, probability) in zip(item.tokens, item.probabilities) {
            // Five standard deviations of a share of 20,000.
            let deviation = (probability * (1 - probability) / 20_000).squareRoot()
            #expect(abs(Float(counts[token] ?? 0) / 20_000 - probability) < 5 * deviation + 1e-6)
        }
    }

    @Test func nothingItIsGivenCrashes() {
        var sampler = Sampler()
        sampler.temperature = .leastNonzeroMagnitude
        #expect(sampler.next([0, 3, 1]) == 1)
        sampler.temperature = .infinity
        #expect((0..<3).contains(Int(sampler.next([0, 3, 1]))))
        sampler.topP = 0
        sampler.topK = 100
        #expect(sampler.next([-.infinity, -2, -.infinity], seen: [7, -1]) == 1)
        #expect(sampler.next([.nan, .nan]) == 0)
    }
}
