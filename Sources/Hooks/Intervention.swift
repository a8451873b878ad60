/// A declared change of the routing: runs inside the engine, needs no callback, and is recorded in traces.
///
/// Interventions of one layer are applied in the order they are given. Those that change logits come before the
/// choice of experts, those that change weights after it, whatever their order in the list.
public struct Intervention: Sendable, Equatable {
    public enum Action: Sendable, Equatable {
        /// The experts' mixing weights become 0; the others are divided by their sum only where `renormalize` says so.
        case ablate(experts: [Int], renormalize: Bool)
        /// The experts' mixing weights are multiplied, the others left as they are.
        case scale(experts: [Int], by: Float)
        /// These experts are chosen, whatever the router says; they are weighted by the router's own probabilities.
        case force(experts: [Int])
        /// These experts are never chosen: their logits become −∞ and the next best take their place.
        case exclude(experts: [Int])
        /// z += by · std(z) for these experts, std over the row's logits (soft steering, arXiv 2510.04694).
        case steer(experts: [Int], by: Float)
        /// z = max(z) + 0.01: these experts are always among the chosen (hard steering, arXiv 2510.04694).
        case steerHard(experts: [Int])
        /// Chooses this many experts per token instead of the model's number.
        case topK(Int)
        /// Logits are replaced by independent standard normal numbers, a function of seed, document, position and layer.
        case randomRouting(seed: UInt64)
        /// Tokens routed to `expert` go to `other` with the same weight.
        case replace(expert: Int, with: Int)
    }

    /// Where an intervention applies: everywhere by default; conditions are joined by "and".
    public struct Scope: Sendable, Equatable {
        public var layers: Set<Int>?
        /// Positions in the document, from 0.
        public var positions: Set<Int>?
        /// Token ids.
        public var tokens: Set<Int32>?
        /// Groups of documents (languages).
        public var groups: Set<String>?

        public init(
            layers: Set<Int>? = nil, positions: Set<Int>? = nil, tokens: Set<Int32>? = nil, groups: Set<String>? = nil
        ) {
            self.layers = layers
            self.positions = positions
            self.tokens = tokens
            self.groups = groups
        }

        /// Whether the condition on rows (all but `layers`) holds everywhere, so no row needs to be asked.
        package var coversEveryRow: Bool { positions == nil && tokens == nil && groups == nil }
    }

    public var action: Action
    public var scope: Scope

    public init(_ action: Action, in scope: Scope = Scope()) {
        self.action = action
        self.scope = scope
    }

    func check(layerCount: Int, expertCount: Int) throws(HookError) {
        for layer in scope.layers ?? [] where !(0..<layerCount).contains(layer) {
            throw .layerOutOfRange("intervention", layer: layer, layerCount: layerCount)
        }
        let named: [Int]
        switch action {
        case .ablate(let experts, _), .scale(let experts, _), .steer(let experts, _), .steerHard(let experts):
            named = experts
        case .force(let experts):
            guard !experts.isEmpty, Set(experts).count == experts.count else {
                throw .badIntervention("force: expected at least one expert, each once, found \(experts)")
            }
            named = experts
        case .exclude(let experts):
            guard Set(experts).count < expertCount else {
                throw .badIntervention("exclude: \(experts) leaves no expert to choose from")
            }
            named = experts
        case .topK(let count):
            guard (1...expertCount).contains(count) else {
                throw .badIntervention("top_k: expected 1 to \(expertCount), found \(count)")
            }
            named = []
        case .randomRouting: named = []
        case .replace(let expert, let other): named = [expert, other]
        }
        for expert in named where !(0..<expertCount).contains(expert) {
            throw .expertOutOfRange(expert, expertCount: expertCount)
        }
    }
}
