/// What a forward pass is asked to show and to change, decided before it starts.
public struct HookPlan: Sendable {
    /// Points whose values observers get.
    public var observed: Set<HookPoint> = []
    /// Points whose values editors may change.
    public var edited: Set<HookPoint> = []
    /// At `attn.scores` and `attn.pattern` of a layer: only these heads, rising; a layer not named here gives all.
    public var heads: [Int: [Int]] = [:]
    /// Declarative changes of the routing, applied in order.
    public var interventions: [Intervention] = []

    /// Watches and changes nothing.
    public static let none = HookPlan()

    public init() {}

    /// Whether it watches and changes nothing.
    package var isEmpty: Bool { observed.isEmpty && edited.isEmpty && interventions.isEmpty }

    /// A plan that observes the named points.
    ///
    /// - Parameters:
    ///   - names: as `HookPoint.named` takes them.
    ///   - layers: keeps only these layers of names that stand for every layer; nil keeps all.
    ///   - expertLayers: the layers that have a router; nil: all.
    ///   - model: decides what other tools' names stand for.
    public init(
        observing names: [String], layers: [Int]? = nil, layerCount: Int, expertLayers: [Int]? = nil,
        model: HookNaming = HookNaming()
    ) throws(HookError) {
        for name in names {
            for point in try HookPoint.named(name, layerCount: layerCount, expertLayers: expertLayers, model: model) {
                guard let layer = point.layer, let layers, !layers.contains(layer) else {
                    observed.insert(point)
                    continue
                }
            }
        }
        for layer in layers ?? [] where !(0..<layerCount).contains(layer) {
            throw .layerOutOfRange("layers", layer: layer, layerCount: layerCount)
        }
    }

    /// Checks the plan against a model and turns it into one mask per layer.
    /// - Parameters:
    ///   - expertLayers: the layers that have a router; nil: all.
    ///   - hasSinks: whether the model has learned attention sinks.
    ///   - hasLatent: whether it has latent attention.
    package func resolved(
        layerCount: Int, headCount: Int, expertCount: Int, expertLayers: [Int]? = nil, hasSinks: Bool = false,
        hasLatent: Bool = false
    ) throws(HookError) -> ResolvedHooks {
        let routed = expertLayers.map(Set.init)
        func check(_ name: String, _ layer: Int, needsRouter: Bool) throws(HookError) {
            guard (0..<layerCount).contains(layer) else {
                throw .layerOutOfRange(name, layer: layer, layerCount: layerCount)
            }
            guard !needsRouter || routed?.contains(layer) ?? true else {
                throw .noRouter(name, layer: layer, expertLayers: expertLayers ?? [])
            }
        }
        for point in observed.union(edited) {
            if let layer = point.layer { try check(point.description, layer, needsRouter: point.site.needsRouter) }
        }
        for point in observed.union(edited) where point.site == .sinks && !hasSinks {
            throw .noSinks(point.description)
        }
        for point in observed.union(edited) where point.site == .keyValueLatent && !hasLatent {
            throw .noLatent(point.description)
        }
        for point in edited where !point.site.isEditable { throw .notEditable(point) }
        for (layer, heads) in heads {
            for head in heads where !(0..<headCount).contains(head) {
                throw .headOutOfRange(layer: layer, head: head, headCount: headCount)
            }
        }
        for intervention in interventions {
            for layer in (intervention.scope.layers ?? []).sorted() {
                try check("intervention", layer, needsRouter: true)
            }
            try intervention.check(layerCount: layerCount, expertCount: expertCount)
        }
        return ResolvedHooks(plan: self, layerCount: layerCount, headCount: headCount)
    }
}

/// A plan as the forward pass asks it: one branch per site that is not hooked.
package struct ResolvedHooks {
    private let observedMasks: [UInt32]
    private let editedMasks: [UInt32]
    private let globalObserved: UInt32
    private let globalEdited: UInt32
    private let headsByLayer: [[Int]]
    /// Interventions of each layer, in order.
    package let interventions: [[Intervention]]

    package init(plan: HookPlan, layerCount: Int, headCount: Int) {
        func masks(_ points: Set<HookPoint>) -> (layers: [UInt32], global: UInt32) {
            var layers = [UInt32](repeating: 0, count: layerCount)
            var global: UInt32 = 0
            for point in points {
                if let layer = point.layer { layers[layer] |= point.site.bit } else { global |= point.site.bit }
            }
            return (layers, global)
        }
        (observedMasks, globalObserved) = masks(plan.observed)
        (editedMasks, globalEdited) = masks(plan.edited)
        headsByLayer = (0..<layerCount).map { Array(Set(plan.heads[$0] ?? Array(0..<headCount))).sorted() }
        interventions = (0..<layerCount).map { layer in
            plan.interventions.filter { $0.scope.layers?.contains(layer) ?? true }
        }
    }

    package func observes(_ site: HookSite, layer: Int?) -> Bool {
        (layer.map { observedMasks[$0] } ?? globalObserved) & site.bit != 0
    }

    package func edits(_ site: HookSite, layer: Int?) -> Bool {
        (layer.map { editedMasks[$0] } ?? globalEdited) & site.bit != 0
    }

    package func wants(_ site: HookSite, layer: Int?) -> Bool {
        observes(site, layer: layer) || edits(site, layer: layer)
    }

    package func heads(layer: Int) -> [Int] { headsByLayer[layer] }
}
