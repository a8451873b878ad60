import Hooks
import RoutingMetrics
import Tensors
import Traces

/// How often every group uses every expert: [group][layer][expert], assignments per token.
public struct RoutingSurvey: Sendable {
    public let groups: [String]
    /// By group name, then layer, then expert.
    public let frequencies: [String: [[Double]]]

    /// The experts of a layer that a group uses most beyond the mean of the other groups, most distinctive first.
    public func ownExperts(of group: String, layer: Int) -> [Int] {
        guard let own = frequencies[group]?[layer] else { return [] }
        let others = groups.filter { $0 != group }
        func distance(_ expert: Int) -> Double {
            let mean = others.reduce(0) { $0 + (frequencies[$1]?[layer][expert] ?? 0) } / Double(max(1, others.count))
            return own[expert] - mean
        }
        return own.indices.sorted { (distance($0), $1) > (distance($1), $0) }
    }
}

extension ExperimentPlan {
    /// What there is to ask without writing a plan.
    public enum Kind: String, Sendable, CaseIterable, Codable {
        case ablation
        case steering
        case topK = "top-k"
        case randomRouting = "random-routing"
    }

    public struct Design: Sendable {
        /// Layers changed; the rest of the model is left alone.
        public var layers: [Int]
        /// A group's own experts per layer.
        public var expertsPerLayer = 1
        /// Random controls of each group.
        public var randomControls = 2
        /// Standard deviations of the router logits, for steering.
        public var strength = 1.0
        /// Whether the weights of the experts left are divided by their sum.
        public var renormalize = false
        /// Whether every expert of every layer is changed by itself as well.
        public var matrix = false
        public var seed: UInt64 = 20_250_101

        public init(layers: [Int]) { self.layers = layers }
    }

    /// Takes each group's own experts away, and beside them the controls.
    public static func ablation(_ survey: RoutingSurvey, experts: Int, _ design: Design) -> ExperimentPlan {
        let plan = targeted("ablation", survey, experts, design) { experts, layer in
            Intervention(.ablate(experts: experts, renormalize: design.renormalize), in: .init(layers: [layer]))
        }
        guard design.matrix else { return plan }
        let cells = design.layers.flatMap { layer in
            (0..<experts).map { expert in
                Arm(
                    name: "layer \(layer) expert \(expert)", role: .single,
                    changes: [
                        Intervention(
                            .ablate(experts: [expert], renormalize: design.renormalize), in: .init(layers: [layer]))
                    ])
            }
        }
        return ExperimentPlan(kind: plan.kind, seed: plan.seed, arms: plan.arms + cells)
    }

    /// Raises the router logits of each group's own experts, and beside them the controls.
    public static func steering(_ survey: RoutingSurvey, experts: Int, _ design: Design) -> ExperimentPlan {
        targeted("steering", survey, experts, design) { experts, layer in
            Intervention(.steer(experts: experts, by: Float(design.strength)), in: .init(layers: [layer]))
        }
    }

    /// 1 to `counts` experts per token.
    public static func topK(_ counts: [Int], _ design: Design) -> ExperimentPlan {
        ExperimentPlan(
            kind: "top-k", seed: design.seed,
            arms: counts.map { count in
                Arm(
                    name: "top \(count)", role: .single,
                    changes: [Intervention(.topK(count), in: .init(layers: Set(design.layers)))])
            })
    }

    /// Random experts in each layer by itself, and in all of them.
    public static func randomRouting(_ design: Design) -> ExperimentPlan {
        var arms = design.layers.map { layer in
            Arm(
                name: "layer \(layer)", role: .single,
                changes: [Intervention(.randomRouting(seed: design.seed), in: .init(layers: [layer]))])
        }
        if design.layers.count > 1 {
            arms.append(
                Arm(
                    name: "all layers", role: .single,
                    changes: [Intervention(.randomRouting(seed: design.seed), in: .init(layers: Set(design.layers)))]))
        }
        return ExperimentPlan(kind: "random-routing", seed: design.seed, arms: arms)
    }

    private static func targeted(
        _ kind: String, _ survey: RoutingSurvey, _ experts: Int, _ design: Design,
        change: ([Int], Int) -> Intervention
    ) -> ExperimentPlan {
        let count = min(design.expertsPerLayer, max(1, experts - 1))
        var arms: [Arm] = []
        for (place, group) in survey.groups.enumerated() {
            let own = design.layers.map { Array(survey.ownExperts(of: group, layer: $0).prefix(count)).sorted() }
            func arm(_ name: String, _ role: Arm.Role, _ chosen: [[Int]]) -> Arm {
                Arm(name: name, role: role, target: group, changes: zip(chosen, design.layers).map { change($0, $1) })
            }
            arms.append(arm("own \(group)", .own, own))
            for control in 0..<design.randomControls {
                var numbers = SeededGenerator(
                    state: design.seed &+ UInt64(place * 1000 + control) &* SeededGenerator.step)
                let random = own.map { own in
                    var others = (0..<experts).filter { !own.contains($0) }
                    return (0..<min(count, others.count)).map { _ in others.remove(at: numbers.below(others.count)) }
                        .sorted()
                }
                arms.append(arm("random \(control + 1) for \(group)", .random, random))
            }
            // The experts of the next layer, where they are not this layer's own as well.
            let shifted = design.layers.indices.map { layer -> [Int] in
                for step in 1..<max(2, design.layers.count) {
                    let candidate = own[(layer + step) % own.count]
                    if candidate != own[layer] { return candidate }
                }
                return own[layer].map { ($0 + 1) % experts }
            }
            arms.append(arm("other layer for \(group)", .otherLayer, shifted))
        }
        return ExperimentPlan(kind: kind, seed: design.seed, arms: arms)
    }
}

extension ExperimentRun {
    /// The plan that a design asks for on this model and these documents.
    /// - Parameter counts: for `topK`, the experts per token; nil: 1 to twice the model's.
    /// - Throws: a layer that the model does not have; what the survey throws that finds each group's own experts.
    public func plan(
        _ kind: ExperimentPlan.Kind, _ design: ExperimentPlan.Design, counts: [Int]? = nil
    ) throws -> ExperimentPlan {
        let config = model.config
        for layer in design.layers where !config.expertLayers.contains(layer) {
            throw ExperimentError(
                file: "",
                reason: (0..<config.layerCount).contains(layer)
                    ? "layers: layer \(layer) is dense, it has no router"
                    : "layers: expected 0 to \(config.layerCount - 1), found \(layer)")
        }
        switch kind {
        case .ablation: return .ablation(try survey(), experts: config.experts.count, design)
        case .steering: return .steering(try survey(), experts: config.experts.count, design)
        case .topK:
            return .topK(counts ?? Array(1...min(config.experts.count, 2 * config.expertsPerToken)), design)
        case .randomRouting: return .randomRouting(design)
        }
    }
}
