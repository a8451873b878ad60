import Foundation
import RouterPolicies
import Testing

/// A router's own distribution, by hand.
@Suite struct DistributionTests {
    private func policy(_ score: RouterPolicy.Score) -> RouterPolicy {
        RouterPolicy(score: score, select: .init(expertsPerToken: 1), weigh: .init(normalizes: false))
    }

    @Test func softmaxScores() {
        // Logits 0, ln 2 and ln 4: 1/7, 2/7, 4/7.
        let p = policy(.softmax).distribution([0, Float(log(2.0)), Float(log(4.0))])
        for (value, expected) in zip(p, [1 / 7.0, 2 / 7.0, 4 / 7.0]) { #expect(abs(value - expected) < 1e-7) }
    }

    @Test func sigmoidScoresAreDividedByTheirSum() {
        // σ(0) = 1/2 and σ(ln 3) = 3/4: shares 2/5 and 3/5.
        let p = policy(.sigmoid).distribution([0, Float(log(3.0))])
        #expect(abs(p[0] - 0.4) < 1e-7 && abs(p[1] - 0.6) < 1e-7)
    }

    @Test func excludedExpertsHaveNoShare() {
        for score in [RouterPolicy.Score.softmax, .sigmoid] {
            let p = policy(score).distribution([-.infinity, 1, 1])
            #expect(p[0] == 0 && p[1] == 0.5 && p[2] == 0.5)
        }
    }

    @Test func entropyAndLogSumExp() {
        var p = [0.0, 0.0]
        let summary = p.withUnsafeMutableBufferPointer { buffer in
            [Float(0), 0].withUnsafeBufferPointer { policy(.softmax).distribution($0, into: buffer) }
        }
        #expect(abs(summary.entropy - log(2)) < 1e-12 && abs(summary.logSumExp - log(2)) < 1e-12)
    }

    @Test func aManifestKeepsEveryPart() throws {
        let policy = RouterPolicy(
            score: .sigmoid,
            select: .init(
                expertsPerToken: 8, addsBias: true, groups: .init(count: 8, kept: 4, scoring: .sumOfTwoLargest)),
            weigh: .init(normalizes: true, epsilon: 1e-20, scale: 2.5))
        let data = try JSONEncoder().encode(policy)
        #expect(try JSONDecoder().decode(RouterPolicy.self, from: data) == policy)
        #expect(
            policy.summary
                == "top 8 of sigmoid plus a selection bias, out of 4 of 8 groups of experts, "
                + "weights divided by their sum, weights multiplied by 2.5")
    }
}
