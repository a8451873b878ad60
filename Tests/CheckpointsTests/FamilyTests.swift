import Checkpoints
import Foundation
import TestSupport
import Testing

/// Folders that transformers saved (`Tests/Fixtures/families/make.py`): what the config says, and that every tensor is found.
@Suite struct FamilyTests {
    private func open(_ name: String) throws -> Checkpoint {
        try Checkpoint.open(Fixtures.folder.appending(path: "families/\(name)"))
    }

    @Test(arguments: [
        "olmoe", "qwen2_moe", "qwen3_moe", "granitemoe", "phimoe", "mixtral-yarn", "mixtral-linear", "mixtral-window",
    ])
    func everyTensorHasItsPlace(_ name: String) throws {
        let checkpoint = try open(name)
        #expect(checkpoint.unusedTensors.isEmpty)
        #expect(checkpoint.tensors.layers.count == 2)
        #expect(checkpoint.config.vocabularySize == 67)
    }

    @Test func olmoe() throws {
        let checkpoint = try open("olmoe")
        let config = checkpoint.config
        #expect(config.queryKeyNorm == .wholeProjection)
        #expect(!config.renormalizesExpertWeights)
        #expect(config.projectionClip == 1.5)
        #expect(checkpoint.tensors.layers[0].queryNorm?.shape == [32])
        #expect(checkpoint.tensors.layers[0].keyNorm?.shape == [16])
    }

    @Test func qwen2() throws {
        let checkpoint = try open("qwen2_moe")
        #expect(checkpoint.config.sharedExpertSize == 20)
        #expect(checkpoint.config.expertSize == 24)
        #expect(checkpoint.config.hasAttentionBias)
        #expect(checkpoint.tensors.layers[1].sharedExpert?.down.shape == [32, 20])
        #expect(checkpoint.tensors.layers[1].keyBias?.shape == [16])
        #expect(checkpoint.tensors.layers[1].attentionOutputBias == nil)
        // The shared expert serves every token: it is always active.
        let expert = 3 * 24 * 32
        #expect(checkpoint.parametersTotal - checkpoint.parametersActive == 2 * 5 * expert)
    }

    @Test func qwen3() throws {
        let checkpoint = try open("qwen3_moe")
        #expect(checkpoint.config.queryKeyNorm == .perHead)
        #expect(checkpoint.config.renormalizesExpertWeights)
        #expect(checkpoint.config.ropeScaling?.kind == .yarn)
        #expect(checkpoint.tensors.layers[0].queryNorm?.shape == [16])
        #expect(checkpoint.tensors.layers[0].attentionOutputBias?.shape == [32])
    }

    @Test func granite() throws {
        let config = try open("granitemoe").config
        #expect(config.routerScoring == .topKThenSoftmax)
        #expect(config.attentionScale == 0.3)
        #expect(config.embeddingMultiplier == 3)
        #expect(config.residualMultiplier == 0.5)
        #expect(config.logitDivisor == 2)
        #expect(config.tiesOutputToEmbedding)
    }

    @Test func phi() throws {
        let checkpoint = try open("phimoe")
        let config = checkpoint.config
        #expect(config.normKind == .layer)
        #expect(config.routerScoring == .sparseMixer)
        #expect(config.routerJitter == 0.01)
        #expect(config.ropeScaling?.kind == .longRope)
        #expect(config.ropeScaling?.longFactors == [1, 1.5, 4, 8])
        #expect(config.ropeScaling?.longAttentionFactor == 1.25)
        #expect(checkpoint.tensors.layers[0].expertNormBias?.shape == [32])
        #expect(checkpoint.tensors.finalNormBias?.shape == [32])
        #expect(checkpoint.tensors.outputBias?.shape == [67])
    }

    @Test func window() throws { #expect(try open("mixtral-window").config.slidingWindow == 7) }
}
