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
        #expect(config.attention.queryKeyNorm == .wholeProjection)
        #expect(!config.router.weigh.normalizes)
        #expect(config.attention.projectionClip == 1.5)
        #expect(checkpoint.tensors.layers[0][.queryNorm]?.shape == [32])
        #expect(checkpoint.tensors.layers[0][.keyNorm]?.shape == [16])
    }

    @Test func qwen2() throws {
        let checkpoint = try open("qwen2_moe")
        #expect(checkpoint.config.experts.sharedSize == 20)
        #expect(checkpoint.config.experts.size == 24)
        #expect(checkpoint.config.attention.hasBias)
        #expect(checkpoint.tensors.layers[1].sharedExpert?.down.shape == [32, 20])
        #expect(checkpoint.tensors.layers[1][.keyBias]?.shape == [16])
        #expect(checkpoint.tensors.layers[1][.attentionOutputBias] == nil)
        // The shared expert serves every token: it is always active.
        let expert = 3 * 24 * 32
        #expect(checkpoint.parametersTotal - checkpoint.parametersActive == 2 * 5 * expert)
    }

    @Test func qwen3() throws {
        let checkpoint = try open("qwen3_moe")
        #expect(checkpoint.config.attention.queryKeyNorm == .perHead)
        #expect(checkpoint.config.router.weigh.normalizes)
        #expect(checkpoint.config.attention.rotary.scaling?.kind == .yarn)
        #expect(checkpoint.tensors.layers[0][.queryNorm]?.shape == [16])
        #expect(checkpoint.tensors.layers[0][.attentionOutputBias]?.shape == [32])
    }

    @Test func granite() throws {
        let config = try open("granitemoe").config
        #expect(config.router.score == .softmax && config.router.weigh.normalizes)
        #expect(config.attention.scale == 0.3)
        #expect(config.multipliers.embedding == 3)
        #expect(config.multipliers.residual == 0.5)
        #expect(config.multipliers.logitDivisor == 2)
        #expect(config.tiesOutputToEmbedding)
    }

    @Test func phi() throws {
        let checkpoint = try open("phimoe")
        let config = checkpoint.config
        #expect(config.norm.kind == .layer)
        #expect(config.router.score == .sparseMixer)
        #expect(config.router.jitter == 0.01)
        #expect(config.attention.rotary.scaling?.kind == .longRope)
        #expect(config.attention.rotary.scaling?.longFactors == [1, 1.5, 4, 8])
        #expect(config.attention.rotary.scaling?.longAttentionFactor == 1.25)
        #expect(checkpoint.tensors.layers[0][.feedForwardNormBias]?.shape == [32])
        #expect(checkpoint.tensors.finalNormBias?.shape == [32])
        #expect(checkpoint.tensors.outputBias?.shape == [67])
    }

    @Test func window() throws { #expect(try open("mixtral-window").config.slidingWindow == 7) }
}
