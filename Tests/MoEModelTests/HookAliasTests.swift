import Checkpoints
import FileFormats
import Foundation
import Hooks
import MoEModel
import TestSupport
import Testing

/// Every name of a Hugging Face module that is accepted for a family, beside what that module gives in transformers
/// (`Tests/Fixtures/hook-aliases/make.py`); and the identities and reasons that other tools' names rest on.
struct HookAliasTests {
    static let families = ["olmoe", "qwen2_moe", "qwen3_moe", "granitemoe", "phimoe", "mixtral-linear"]
    private let tokens: [Int32] = [1, 17, 4, 33, 8]

    private func load(_ family: String) throws -> Model {
        try Model(
            Checkpoint.open(Fixtures.folder.appending(path: "families/\(family)")), precision: .exact, threads: 1)
    }

    @Test(arguments: families)
    func namesOfModulesGiveTheirOutput(_ family: String) throws {
        let model = try load(family)
        let modules = try SafetensorsFile(Fixtures.folder.appending(path: "hook-aliases/\(family).safetensors"))
        var compared = 0
        for alias in HookAlias.all where alias.tool == "Hugging Face" {
            for layer in alias.site.isPerLayer ? [0, 1] : [0] {
                var name = alias.name.replacing("model.layers.", with: "model.layers.\(layer).")
                if name.hasSuffix(".") { name.removeLast() }
                guard alias.refusal(for: model.config.hookNaming) == nil else {
                    #expect(throws: HookError.self) { try observe(model, name) }
                    continue
                }
                // What transformers 4 called the module has transformers 5's value.
                let module =
                    modules[name] ?? modules[name.replacing("block_sparse_moe", with: "mlp")]
                    ?? modules[name.replacing("block_sparse_moe.gate", with: "mlp.router")]
                let tensor = try #require(module, "\(family) has no module \(name)")
                let expected = Array(tensor.bytes.assumingMemoryBound(to: Float.self))
                let found = try observe(model, name)
                #expect(found.count == expected.count, "\(name)")
                let far = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
                #expect(far < 1e-4, "\(family): \(name) is \(far) off")
                compared += 1
            }
        }
        #expect(compared >= 19)
    }

    private func observe(_ model: Model, _ name: String) throws -> [Float] {
        let seen = HookRecorder()
        let plan = try HookPlan(observing: [name], layerCount: model.config.layerCount, model: model.config.hookNaming)
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen)
        let point = try #require(plan.observed.first)
        return try #require(seen.floats(point))
    }

    /// resid_mid = resid_pre + hook_attn_out and resid_post = resid_mid + hook_mlp_out, with Granite's multiplier too; an edit
    /// arrives as it was made.
    @Test(arguments: families)
    func identitiesOfTransformerLens(_ family: String) throws {
        let model = try load(family)
        func value(_ name: String) throws -> [Float] { try observe(model, "blocks.1.\(name)") }
        for (before, added, after) in [
            ("hook_resid_pre", "hook_attn_out", "hook_resid_mid"),
            ("hook_resid_mid", "hook_mlp_out", "hook_resid_post"),
        ] {
            let sum = zip(try value(before), try value(added)).map { $0 + $1 }
            #expect(zip(sum, try value(after)).allSatisfy { abs($0 - $1) < 1e-6 }, "\(after)")
        }
        let seen = HookRecorder()
        var plan = try HookPlan(observing: ["blocks.0.hook_resid_mid"], layerCount: 2)
        plan.edited = Set(try HookPoint.named("blocks.0.hook_attn_out", layerCount: 2, model: model.config.hookNaming))
        let edit = Edit { _, values in for index in values.indices { values[index] += 1 } }
        _ = try model.forward(TokenBatch([tokens]), plan: plan, observer: seen, editor: edit)
        let plain = try observe(model, "blocks.0.hook_resid_mid")
        let edited = try #require(seen.floats(HookPoint(.residMid, layer: 0)))
        #expect(zip(edited, plain).allSatisfy { abs($0 - $1 - 1) < 1e-5 })
    }

    @Test(arguments: [
        ("granitemoe", "hook_embed"), ("granitemoe", "model.layers.0.mlp"), ("granitemoe", "ffn_moe_weights-0"),
        ("granitemoe", "Qcur-0"), ("olmoe", "model.layers.0.self_attn.q_norm"), ("olmoe", "Vcur-0"),
        ("olmoe", "ffn_moe_weights_norm-0"), ("qwen2_moe", "ffn_moe_out-0"), ("phimoe", "Qcur-0"),
        ("phimoe", "model.layers.0.mlp.gate"), ("mixtral-linear", "blocks.0.mlp.hook_expert_weights"),
        ("qwen3_moe", "ln_final.hook_normalized"), ("qwen3_moe", "model.layers.0.block_sparse_moe"),
    ])
    func namesOfOtherValuesAreRefused(family: String, name: String) throws {
        let model = try load(family).config
        #expect {
            try HookPoint.named(name, layerCount: 2, model: model.hookNaming)
        } throws: { error in
            guard case HookError.otherValue(name, _, let reason) = error else { return false }
            return !reason.isEmpty
        }
    }

    /// The order of rows in a GGUF file is llama.cpp's own.
    @Test func llamaNamesOfFilesItCanRead() throws {
        let file = try Checkpoint.open(Fixtures.folder.appending(path: "gguf/merged.gguf")).config
        #expect(
            try HookPoint.named("Qcur-1", layerCount: 2, model: file.hookNaming) == [HookPoint(.rotatedQuery, layer: 1)]
        )
    }
}
