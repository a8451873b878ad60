import Hooks
import RoutingMetrics
import Tensors
import Traces

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
        /// Random controls of each group: how much they differ is part of the contrast's interval.
        public var randomControls = 20
        /// Standard deviations of the router logits, for steering.
        public var strength = 1.0
        /// Whether the weights of the experts left are divided by their sum.
        public var renormalize = false
        /// Whether every expert of every layer is changed by itself as well.
        public var matrix = false
        public var seed: UInt64 = 20_250_101

        public init(layers: [Int]) { self.layers = layers }
    }

    /// Takes each group's own experts away, and beside them controls that meet the same share of the group's tokens.
    public static func ablation(_ survey: RoutingSurvey, _ design: Design) -> ExperimentPlan {
        let plan = targeted("ablation", survey, design, isMatched: true) { experts, layer in
            Intervention(.ablate(experts: experts, renormalize: design.renormalize), in: .init(layers: [layer]))
        }
        guard design.matrix else { return plan }
        let cells = design.layers.flatMap { layer in
            (0..<survey.experts).map { expert in
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

    /// Raises the router logits of each group's own experts, and beside them of as many random others.
    public static func steering(_ survey: RoutingSurvey, _ design: Design) -> ExperimentPlan {
        targeted("steering", survey, design, isMatched: false) { experts, layer in
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

    /// - Parameter isMatched: whether random controls carry the own experts' load, rather than being as many.
    private static func targeted(
        _ kind: String, _ survey: RoutingSurvey, _ design: Design, isMatched: Bool,
        change: ([Int], Int) -> Intervention
    ) -> ExperimentPlan {
        let count = min(design.expertsPerLayer, max(1, survey.experts - 1))
        var arms: [Arm] = []
        for (place, group) in survey.groups.enumerated() {
            let own = design.layers.map { survey.ownExperts(of: group, layer: $0, count: count).sorted() }
            func share(_ chosen: [[Int]]) -> Double {
                zip(chosen, design.layers).reduce(0) { $0 + survey.share(of: group, layer: $1.1, meeting: $1.0) }
                    / Double(max(1, design.layers.count))
            }
            // Controls are compared on their group's documents only, and run over no others.
            func arm(_ name: String, _ role: Arm.Role, _ chosen: [[Int]]) -> Arm {
                Arm(
                    name: name, role: role, target: group, changes: zip(chosen, design.layers).map { change($0, $1) },
                    groups: role == .own ? nil : [group], share: share(chosen))
            }
            arms.append(arm("own \(group)", .own, own))
            let seed = design.seed &+ UInt64(place) &* SeededGenerator.step
            let draws =
                isMatched
                ? MatchedDraws(
                    survey, group: group, own: own, layers: design.layers, count: design.randomControls, seed: seed
                ).draws.map(\.experts)
                : randomSets(own, of: survey.experts, count: design.randomControls, seed: seed)
            for (number, draw) in draws.enumerated() {
                arms.append(arm("random \(number + 1) for \(group)", .random, draw))
            }
            // The experts of the next layer, where they are not this layer's own as well.
            let shifted = design.layers.indices.map { layer -> [Int] in
                for step in 1..<max(2, design.layers.count) {
                    let candidate = own[(layer + step) % own.count]
                    if candidate != own[layer] { return candidate }
                }
                return own[layer].map { ($0 + 1) % survey.experts }
            }
            arms.append(arm("other layer for \(group)", .otherLayer, shifted))
        }
        return ExperimentPlan(kind: kind, seed: design.seed, arms: arms)
    }

    /// As many random other experts in every layer, no two draws alike: at most `count`.
    private static func randomSets(_ own: [[Int]], of experts: Int, count: Int, seed: UInt64) -> [[[Int]]] {
        var numbers = SeededGenerator(seed: seed)
        var draws: [[[Int]]] = []
        for _ in 0..<16 * count where draws.count < count {
            let draw = own.map { own in
                var others = (0..<experts).filter { !own.contains($0) }
                return (0..<min(own.count, others.count)).map { _ in others.remove(at: numbers.below(others.count)) }
                    .sorted()
            }
            if !draws.contains(draw), draw.allSatisfy({ !$0.isEmpty }) { draws.append(draw) }
        }
        return draws
    }
}

extension ExperimentRun {
    /// The plan that a design asks for on this model and these documents.
    /// - Parameter counts: for `topK`, the experts per token; nil: 1 to twice the model's.
    ///
    /// Designs with own experts choose them, and match their controls, on half of the documents; the other half is scored.
    /// - Throws: a layer that the model does not have; too few documents for two halves; what the survey throws.
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
        case .ablation, .steering:
            let split = DocumentSplit(
                groups: corpus.documents.map(\.group), sets: corpus.documents.map(\.parallelID), seed: design.seed)
            guard !split.choosing.isEmpty, !split.scored.isEmpty else {
                throw ExperimentError(
                    file: corpus.source,
                    reason:
                        "half of the documents choose each group's experts and the other half is scored: expected two "
                        + "documents or parallel sets at least, found one")
            }
            let survey = try survey(of: split.choosing)
            var plan: ExperimentPlan = kind == .ablation ? .ablation(survey, design) : .steering(survey, design)
            plan.split = split
            return plan
        case .topK:
            return .topK(counts ?? Array(1...min(config.experts.count, 2 * config.expertsPerToken)), design)
        case .randomRouting: return .randomRouting(design)
        }
    }
}
