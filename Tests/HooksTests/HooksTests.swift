import Hooks
import Testing

struct HookNameTests {
    @Test func namesStandForPoints() throws {
        #expect(try HookPoint.named("blocks.3.router_logits", layerCount: 6) == [HookPoint(.routerLogits, layer: 3)])
        #expect(try HookPoint.named("router_logits", layerCount: 2).count == 2)
        #expect(try HookPoint.named("blocks.*.attn.q", layerCount: 4).map(\.layer) == [0, 1, 2, 3])
        #expect(try HookPoint.named("embed", layerCount: 4) == [HookPoint(.embed)])
    }

    @Test(arguments: [
        ("blocks.1.attn.hook_pattern", HookSite.pattern), ("blocks.1.hook_resid_mid", .residMid),
        ("blocks.1.mlp.gate.hook_out", .routerLogits), ("model.layers.1.block_sparse_moe.gate", .routerLogits),
        ("model.layers.1.mlp.gate", .routerLogits), ("model.layers.1", .residPost),
        ("model.layers.1.self_attn.q_proj", .queryProjection), ("ffn_moe_logits-1", .routerLogits),
        ("ffn_moe_topk-1", .expertIndices), ("l_out-1", .residPost),
    ])
    func aliases(name: String, site: HookSite) throws {
        #expect(try HookPoint.named(name, layerCount: 2) == [HookPoint(site, layer: 1)])
    }

    @Test func everyAliasIsReachable() throws {
        for alias in HookAlias.all where alias.refusal(for: HookNaming()) == nil {
            let name =
                switch alias.tool {
                case "TransformerLens": alias.site.isPerLayer ? "blocks.0.\(alias.name)" : alias.name
                case "Hugging Face": alias.name.replacing("model.layers.", with: "model.layers.0.")
                default: alias.site.isPerLayer ? "\(alias.name)-0" : alias.name
                }
            let point = HookPoint(alias.site, layer: alias.site.isPerLayer ? 0 : nil)
            let trimmed = name.hasSuffix(".") ? String(name.dropLast()) : name
            #expect(try HookPoint.named(trimmed, layerCount: 1) == [point], "\(alias.tool) \(alias.name)")
        }
    }

    @Test func unknownNamesGetTheNearest() {
        #expect {
            try HookPoint.named("blocks.3.router_logit", layerCount: 6)
        } throws: { error in
            guard case HookError.unknownName(_, let nearest) = error else { return false }
            return nearest.first == "router_logits"
        }
        #expect(throws: HookError.layerOutOfRange("blocks.6.attn.z", layer: 6, layerCount: 6)) {
            try HookPoint.named("blocks.6.attn.z", layerCount: 6)
        }
        #expect(throws: HookError.notPerLayer("blocks.0.embed", .embed)) {
            try HookPoint.named("blocks.0.embed", layerCount: 6)
        }
    }

    @Test func aPlanKeepsTheLayersAskedFor() throws {
        let plan = try HookPlan(observing: ["router_logits", "embed"], layers: [1, 2], layerCount: 4)
        #expect(
            plan.observed == [
                HookPoint(.routerLogits, layer: 1), HookPoint(.routerLogits, layer: 2), HookPoint(.embed),
            ])
        #expect(throws: HookError.self) { try HookPlan(observing: ["embed"], layers: [4], layerCount: 4) }
    }
}
