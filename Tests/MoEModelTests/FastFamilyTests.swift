import CKernels
import Checkpoints
import Foundation
import Hooks
import MoEModel
import TestSupport
import Testing

/// `fast` beside `exact` for every family that `ParityTests` holds against transformers.
@Suite struct FastFamilyTests {
    private struct Pass {
        let logprob: [Float]
        let chosen: [Set<Int32>]
    }

    private func run(_ checkpoint: Checkpoint, _ precision: Precision) throws -> Pass {
        let model = try Model(checkpoint, precision: precision)
        let config = model.config
        let plan = try HookPlan(
            observing: ["expert_indices"], layerCount: config.layerCount, expertLayers: config.expertLayers)
        let tokens = (0..<44).map { Int32(($0 * 7 + 3) % min(60, config.vocabularySize)) }
        let seen = HookRecorder()
        let logprob = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen).logprob
        return Pass(logprob: logprob, chosen: try seen.chosenExperts(config, tokens: tokens.count))
    }

    /// The weights are random: routers have small margins, a few choices may fall otherwise, and then a token's logits are others;
    /// hence the median. Levels of MXFP4 meet activations of eight bits. All other fixtures have dense weights, whose products keep
    /// sixteen bits, and eight of what gate and up take in with tiles, where activations are bf16.
    @Test(arguments: ParityTests.cases)
    func staysNearExact(checkpoint: URL) throws {
        let opened = try Checkpoint.open(checkpoint)
        let (exact, fast) = (try run(opened, .exact), try run(opened, .fast))
        let differences = zip(exact.logprob, fast.logprob).dropFirst().map { abs($0 - $1) }
        let median = differences.sorted()[differences.count / 2]
        let others = zip(exact.chosen, fast.chosen).filter { $0 != $1 }.count
        let isQuantized = opened.tensors.distinct.contains { $0.dtype.blockElements > 1 }
        let dense = ck_peak_of(CK_BF16, CK_FAST)
        let isBF16 = Model.instructionSet.hasPrefix("amx")
        #expect(median > 0 || (dense == CK_PEAK_F32 && !isQuantized))
        #expect(median < (isQuantized ? 0.05 : isBF16 ? 0.03 : 0.003), "\(differences.max() ?? 0) at most")
        #expect(others * (isBF16 ? 15 : 50) <= exact.chosen.count, "\(others) of \(exact.chosen.count)")
    }
}
