/// One hook site in one layer, written `blocks.3.router_logits`, or a site outside the layers, written `embed`.
public struct HookPoint: Hashable, Sendable, CustomStringConvertible {
    public let site: HookSite
    /// Counted from 0; nil exactly for the sites outside the layers.
    public let layer: Int?

    /// - Precondition: `layer` is given exactly where the site is in a layer.
    public init(_ site: HookSite, layer: Int? = nil) {
        precondition(
            site.isPerLayer == (layer != nil), "\(site.rawValue) \(site.isPerLayer ? "needs a" : "has no") layer")
        self.site = site
        self.layer = layer
    }

    public var description: String { layer.map { "blocks.\($0).\(site.rawValue)" } ?? site.rawValue }

    /// All points a name stands for in a model of `layerCount` layers.
    ///
    /// Accepts the name itself (`blocks.3.attn.q`), the bare site (`router_logits`: every layer), a star for the layer
    /// (`blocks.*.resid_post`), and the aliases of TransformerLens, Hugging Face modules and llama.cpp's graph.
    /// - Parameters:
    ///   - expertLayers: the layers that have a router; nil: all.
    ///   - model: what the model does between that tool's modules and our points.
    /// - Throws: `HookError` with the nearest names, with the range of layers, for the router of a dense layer, or with the
    ///   reason for which another tool's name is not accepted in this model.
    public static func named(
        _ name: String, layerCount: Int, expertLayers: [Int]? = nil, model: HookNaming = HookNaming()
    ) throws(HookError) -> [HookPoint] {
        let (base, layer) = splitLayer(name)
        let alias = HookAlias.named(base)
        guard let site = HookSite(rawValue: base) ?? alias?.site else {
            throw .unknownName(name, nearest: HookAlias.nearest(to: name))
        }
        if HookSite(rawValue: base) == nil, let alias, let reason = alias.refusal(for: model) {
            throw .otherValue(name, tool: alias.tool, reason: reason)
        }
        guard site.isPerLayer else {
            if case .all = layer { return [HookPoint(site)] }
            throw .notPerLayer(name, site)
        }
        switch layer {
        case .all:
            let layers = site.needsRouter ? expertLayers ?? Array(0..<layerCount) : Array(0..<layerCount)
            return layers.map { HookPoint(site, layer: $0) }
        case .one(let index):
            guard index < layerCount else { throw .layerOutOfRange(name, layer: index, layerCount: layerCount) }
            guard !site.needsRouter || expertLayers?.contains(index) ?? true else {
                throw .noRouter(name, layer: index, expertLayers: expertLayers ?? [])
            }
            return [HookPoint(site, layer: index)]
        }
    }

    private enum LayerPart {
        case all
        case one(Int)
    }

    /// Takes the layer out of a name: `blocks.3.x`, `model.layers.3.x`, `x-3` (llama.cpp).
    private static func splitLayer(_ name: String) -> (base: String, layer: LayerPart) {
        for prefix in ["blocks.", "model.layers."] where name.hasPrefix(prefix) {
            let rest = name.dropFirst(prefix.count)
            let number = rest.prefix { $0 != "." }
            let site = rest.dropFirst(number.count).drop { $0 == "." }
            // A Hugging Face layer as a whole is `model.layers.3`: its output.
            let base = prefix == "blocks." ? String(site) : "model.layers." + site
            if number == "*" { return (base, .all) }
            if let index = Int(number), index >= 0 { return (base, .one(index)) }
        }
        if let dash = name.lastIndex(of: "-"), let index = Int(name[name.index(after: dash)...]), index >= 0 {
            return (String(name[..<dash]), .one(index))
        }
        return (name, .all)
    }
}

/// Why a hook request cannot be met. Raised before any computation, except `neverFired`.
public enum HookError: Error, Equatable, CustomStringConvertible {
    case unknownName(String, nearest: [String])
    /// Another tool's name for a value that this model does not have at our point.
    case otherValue(String, tool: String, reason: String)
    case layerOutOfRange(String, layer: Int, layerCount: Int)
    case notPerLayer(String, HookSite)
    /// A dense layer was asked for its router or experts.
    case noRouter(String, layer: Int, expertLayers: [Int])
    case headOutOfRange(layer: Int, head: Int, headCount: Int)
    case expertOutOfRange(Int, expertCount: Int)
    case notEditable(HookPoint)
    case neverFired([HookPoint])
    /// A model without learned sinks was asked for them.
    case noSinks(String)
    /// A model without latent attention was asked for its latent.
    case noLatent(String)
    case badIntervention(String)

    public var description: String {
        switch self {
        case .unknownName(let name, let nearest):
            "no hook point is called \"\(name)\"; nearest: \(nearest.joined(separator: ", ")). "
                + "`moescope hooks` lists all"
        case .otherValue(let name, let tool, let reason):
            "\(name) is not what \(tool) means by it in this model: \(reason)"
        case .layerOutOfRange(let name, let layer, let count):
            "\(name): layer \(layer) is out of range; the model has layers 0 to \(count - 1)"
        case .noRouter(let name, let layer, let expertLayers):
            "\(name): layer \(layer) is dense, it has no router; layers with one: "
                + (expertLayers.count > 12
                    ? "\(expertLayers[0]) to \(expertLayers[expertLayers.count - 1])"
                    : expertLayers.map(String.init).joined(separator: ", "))
        case .notPerLayer(let name, let site):
            "\(name): \(site.rawValue) is outside the layers; write \"\(site.rawValue)\""
        case .headOutOfRange(let layer, let head, let count):
            "layer \(layer), head \(head): the model has heads 0 to \(count - 1)"
        case .expertOutOfRange(let expert, let count): "expert \(expert): the model has experts 0 to \(count - 1)"
        case .notEditable(let point): "\(point) can be seen, not changed: it is computed inside the attention tiles"
        case .neverFired(let points):
            "asked for and never reached: \(points.map(\.description).joined(separator: ", "))"
        case .noSinks(let name): "\(name): this model has no learned attention sinks"
        case .noLatent(let name): "\(name): this model has no latent attention"
        case .badIntervention(let reason): reason
        }
    }
}
