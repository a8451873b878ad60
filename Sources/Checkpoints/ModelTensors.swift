import FileFormats
import Tensors

/// Every tensor of a model by its role, present and of the shape that `TensorSchema` says: what the engine runs on.
///
/// Linear weights are [out, in]. V vocabulary · D hidden · H/G query and key/value heads · d head size · E experts ·
/// F expert width.
public struct ModelTensors: Sendable {
    /// The tensors outside the layers.
    private var outer: RoleTable
    public var layers: [LayerTensors]

    /// Asks for every tensor of the schema in turn.
    /// - Parameter take: gives an entry's tensors: `copies` of them, each of the entry's shape.
    init(
        _ config: ModelConfig, take: (TensorSchema.Entry) throws(FileError) -> [Tensor]
    ) throws(FileError) {
        outer = RoleTable()
        layers = config.layers.map { _ in LayerTensors(RoleTable()) }
        for entry in TensorSchema(config).entries {
            let tensors = try take(entry)
            if let layer = entry.layer {
                layers[layer].table[entry.role] = tensors
            } else {
                outer[entry.role] = tensors
            }
        }
    }

    /// [V, D]
    public var embedding: Tensor { outer.required(.embedding) }
    /// [D]
    public var finalNorm: Tensor { outer.required(.finalNorm) }
    /// [V, D]; the embedding itself where the model ties them.
    public var output: Tensor { outer[.output].first ?? embedding }
    /// [D]; LayerNorm models only.
    public var finalNormBias: Tensor? { outer[.finalNormBias].first }
    /// [V]
    public var outputBias: Tensor? { outer[.outputBias].first }

    /// Whether the output is the embedding itself.
    public var isOutputTied: Bool { outer[.output].isEmpty }

    /// The tensors of a role: E for experts, one for others, none where the model, or the layer, has none.
    public func tensors(_ role: TensorRole, layer: Int?) -> [Tensor] {
        layer.map { layers[$0].table[role] } ?? outer[role]
    }

    /// Every role that is present with its tensors, in the order of `TensorSchema`.
    public func byEntry(_ config: ModelConfig) -> [(entry: TensorSchema.Entry, tensors: [Tensor])] {
        TensorSchema(config).entries.map { ($0, tensors($0.role, layer: $0.layer)) }
    }

    /// Every tensor once.
    public var distinct: [Tensor] { outer.all + layers.flatMap(\.all) }
}

/// The tensors of one decoder layer.
public struct LayerTensors: Sendable {
    fileprivate var table: RoleTable
    /// What `latentUp` was joined from, as it lies in the file; nil where the file has the one matrix.
    public internal(set) var latentParts: LatentParts?

    fileprivate init(_ table: RoleTable) { self.table = table }

    /// The tensor of a role that a layer has at most once.
    public subscript(role: TensorRole) -> Tensor? { table[role].first }

    /// [D]; nil where nothing is normalized before attention.
    public var attentionNorm: Tensor? { self[.attentionNorm] }
    /// [H·d, D]
    public var query: Tensor { table.required(.query) }
    /// [G·d, D]
    public var key: Tensor { table.required(.key) }
    /// [G·d, D]
    public var value: Tensor { table.required(.value) }
    /// [D, H·d]
    public var attentionOutput: Tensor { table.required(.attentionOutput) }
    /// [D]; Hugging Face's `post_attention_layernorm`, for most families. nil where nothing is normalized before the experts.
    public var feedForwardNorm: Tensor? { self[.feedForwardNorm] }
    /// The router and experts; nil in a dense layer.
    public var experts: ExpertTensors? {
        self[.router].map {
            ExpertTensors(
                router: $0, routerBias: self[.routerBias], selectionBias: self[.routerSelectionBias],
                biases: table[.expertGateBias].isEmpty
                    ? nil : (table[.expertGateBias], table[.expertUpBias], table[.expertDownBias]),
                gate: table[.expertGate], up: table[.expertUp],
                down: table[.expertDown])
        }
    }
    /// The network of a dense layer: down(silu(gate x) ⊙ up x); nil in a layer with experts.
    public var dense: GatedTensors? { gated(.denseGate, .denseUp, .denseDown) }
    /// The expert every token goes through.
    public var sharedExpert: GatedTensors? { gated(.sharedGate, .sharedUp, .sharedDown) }
    /// [1, D]: the shared expert is multiplied by σ(x · this); nil: it is added as it is.
    public var sharedRouter: Tensor? { self[.sharedRouter] }

    private func gated(_ gate: TensorRole, _ up: TensorRole, _ down: TensorRole) -> GatedTensors? {
        self[gate].map { GatedTensors(gate: $0, up: table.required(up), down: table.required(down)) }
    }

    /// Every tensor of the layer as it lies in the file, in the order of `TensorSchema`.
    public var all: [Tensor] { TensorRole.allCases.flatMap(stored) }

    /// The tensors of a role as they lie in the file: of `latentUp` its two parts where there are.
    public func stored(_ role: TensorRole) -> [Tensor] {
        guard role == .latentUp, let latentParts else { return table[role] }
        return [latentParts.keys, latentParts.values]
    }

    /// The matrices as they lie in the file, in the order in which a pass needs them; experts one after the other.
    public var matrices: [Tensor] {
        let whole = TensorRole.allCases.filter { ($0.isMatrix || $0 == .router) && !$0.isPerExpert }
        let (gate, up, down) = (table[.expertGate], table[.expertUp], table[.expertDown])
        return whole.flatMap(stored) + gate.indices.flatMap { [gate[$0], up[$0], down[$0]] }
    }
}

/// The two matrices that expand latents, for all heads.
public struct LatentParts: Sendable {
    /// [H, c, n]: the elements of a head's keys that are its own.
    public let keys: Tensor
    /// [H, m, c]
    public let values: Tensor
}

/// The router and the experts of one layer.
public struct ExpertTensors: Sendable {
    /// [E, D]
    public let router: Tensor
    /// [E]; added to the logits.
    public let routerBias: Tensor?
    /// [E]; added to the scores for choosing only.
    public let selectionBias: Tensor?
    /// E tensors [F], [F] and [D] each.
    public let biases: (gate: [Tensor], up: [Tensor], down: [Tensor])?
    /// E tensors [F, D]; `w1`.
    public let gate: [Tensor]
    /// E tensors [F, D]; `w3`.
    public let up: [Tensor]
    /// E tensors [D, F]; `w2`.
    public let down: [Tensor]
}

/// A gated feed-forward network, S wide: down(silu(gate x) ⊙ up x).
public struct GatedTensors: Sendable {
    /// [S, D]
    public let gate: Tensor
    /// [S, D]
    public let up: Tensor
    /// [D, S]
    public let down: Tensor
}

/// Tensors by role, without hashing: a pass looks them up for every token it decodes.
private struct RoleTable: Sendable {
    private var tensors = [[Tensor]](repeating: [], count: TensorRole.allCases.count)

    subscript(role: TensorRole) -> [Tensor] {
        get { tensors[Int(role.rawValue)] }
        set { tensors[Int(role.rawValue)] = newValue }
    }

    /// - Precondition: the schema has the role wherever it is asked for.
    func required(_ role: TensorRole) -> Tensor { tensors[Int(role.rawValue)][0] }

    var all: [Tensor] { tensors.flatMap { $0 } }
}
