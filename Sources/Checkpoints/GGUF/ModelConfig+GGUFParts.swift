import FileFormats
import RouterPolicies
import Tensors

extension Family {
    /// The family of a GGUF file; of two with one architecture, that which has the file's scores, and its shared experts.
    static func gguf(_ architecture: String, metadata: [String: GGUFValue], shapes: [String: [Int]]) -> Family? {
        var families = all.filter { $0.ggufArchitecture == architecture }
        if families.contains(where: { $0.latent != nil }) {
            // Files of 2024 do not say: they are DeepSeek-V2's.
            let isSigmoid = metadata["\(architecture).expert_gating_func"]?.int == 2
            families = families.filter { ($0.router.score == .sigmoid) == isSigmoid }
        }
        let hasShared = shapes.keys.contains { $0.hasSuffix("ffn_down_shexp.weight") }
        return families.first { ($0.sharedExpert != nil) == hasShared } ?? families.first
    }
}

/// Parts of a model that GGUF files of newer architectures say more about.
extension ModelConfig {
    /// What each layer is made of: a window by the file's number and the architecture's pattern, experts by the tensors.
    static func layers(
        _ fields: GGUFFields, _ family: Family, _ shapes: [String: [Int]]
    ) throws(FileError) -> [LayerKind] {
        var window: Int?
        if case .none = family.windows {
        } else if fields["attention.sliding_window"]?.int != 0 {
            window = try fields.optionalSize("attention.sliding_window")
        }
        var period = family.ggufWindowPeriod
        if period != nil, let given = fields["attention.sliding_window_pattern"] {
            guard let number = given.int, number >= 1 else {
                throw fields.wrong("attention.sliding_window_pattern", expected: "a number from 1")
            }
            period = number
        }
        var count = try fields.size("block_count")
        guard count <= 100_000 else { throw fields.wrong("block_count", expected: "at most 100000") }
        // Layers that predict several tokens come last and are not run.
        if let extra = fields["nextn_predict_layers"]?.int, extra > 0, family.leavesOutLastLayers {
            guard extra < count else { throw fields.wrong("nextn_predict_layers", expected: "fewer than block_count") }
            count -= extra
        }
        let layers = (0..<count).map { layer in
            let isWindowed = period.map { (layer + 1) % $0 != 0 } ?? true
            let router = shapes[family.ggufName(.router, layer: layer)]
            return LayerKind(
                attention: window.flatMap { isWindowed ? .windowed($0) : nil } ?? .full,
                feedForward: router == nil && shapes[family.ggufName(.denseGate, layer: layer)] != nil
                    ? .dense : .experts)
        }
        if family.denseLayers?.firstField != nil { try checkDense(fields, layers) }
        return layers
    }

    /// Whether tensors and metadata agree about which layers are dense.
    private static func checkDense(_ fields: GGUFFields, _ layers: [LayerKind]) throws(FileError) {
        let leading = layers.prefix { $0.feedForward == .dense }.count
        guard let said = fields["leading_dense_block_count"]?.int else { return }
        let step = max(1, fields["interleave_moe_layer_step"]?.int ?? 1)
        let first = layers.indices.first { $0 >= said && ($0 + 1) % step == 0 } ?? layers.count
        guard first == leading else {
            throw fields.wrong("leading_dense_block_count", expected: "\(leading), as tensors of a router are there")
        }
    }

    /// The width of the expert that every token goes through; nil: there is none.
    static func sharedSize(
        _ fields: GGUFFields, _ shared: Family.SharedExpert, expertSize: Int, _ layers: [LayerKind],
        _ shapes: [String: [Int]]
    ) throws(FileError) -> Int? {
        if shared.isOptional {
            for field in ["expert_shared_count", "expert_shared_feed_forward_length"] where fields[field]?.int == 0 {
                return nil
            }
        }
        let count = shared.countField == nil ? nil : try fields.optionalSize("expert_shared_count")
        if let size = try fields.optionalSize("expert_shared_feed_forward_length") { return size }
        if let count, count < 1 << 20 { return count * expertSize }
        // Files of 2024 do not say; the tensor does.
        let first = layers.firstIndex { $0.feedForward == .experts } ?? 0
        return shapes[TensorRole.placed(TensorRole.sharedGate.ggufName, layer: first)]?.first
    }

    /// The family's policy with what the file says about it.
    static func router(
        _ fields: GGUFFields, _ family: Family, _ layers: [LayerKind], _ shapes: [String: [Int]]
    ) throws(FileError) -> RouterPolicy {
        var policy = family.router
        policy.expertsPerToken = try fields.size("expert_used_count")
        if policy.select.addsBias {
            let first = layers.firstIndex { $0.feedForward == .experts } ?? 0
            policy.select.addsBias = shapes[family.ggufName(.routerSelectionBias, layer: first)] != nil
        }
        if policy.score == .sigmoid, let number = fields["expert_gating_func"]?.int, number != 0 {
            guard number == 2 else { throw fields.wrong("expert_gating_func", expected: "2, sigmoid") }
        }
        if family.routerFields.scale != nil, let scale = try fields.optionalNumber("expert_weights_scale"), scale != 0 {
            policy.weigh.scale = scale
        }
        if policy.select.groups != nil {
            // A file that does not say has one group, whatever the family's usual number.
            let isGrouped = fields["expert_group_count"]?.int ?? 0 > 0
            policy.select.groups?.count = isGrouped ? try fields.size("expert_group_count") : 1
            let isLimited = isGrouped && fields["expert_group_used_count"]?.int ?? 0 > 0
            policy.select.groups?.kept = isLimited ? try fields.size("expert_group_used_count") : 1
        }
        return policy
    }
}
