import Hooks

/// What ablated experts carried in the untouched model, by document: the load that an effect is held against.
public struct AblatedLoad: Codable, Sendable, Equatable {
    /// Tokens that met at least one ablated expert, mean over the layers with one; first tokens left out.
    public var met: [Double]
    /// Sums over tokens and layers of the mixing weights of the ablated experts.
    public var weight: [Double]

    public init(met: [Double], weight: [Double]) {
        self.met = met
        self.weight = weight
    }

    /// - Parameters:
    ///   - ablated: experts, by the model's number of the layer.
    ///   - documents: rows of each document.
    ///   - indices: a layer's chosen experts, [T, K].
    ///   - weights: their mixing weights, [T, K].
    public init(
        _ ablated: [Int: Set<Int>], documents: [Range<Int>], indices: (Int) -> [Int32], weights: (Int) -> [Float]
    ) {
        met = Array(repeating: 0, count: documents.count)
        weight = met
        let rows = documents.last?.upperBound ?? 0
        for (layer, experts) in ablated.sorted(by: { $0.key < $1.key }) {
            let (chosen, mixing) = (indices(layer), weights(layer))
            let K = chosen.count / max(1, rows)
            for (document, range) in documents.enumerated() {
                var tokens = 0
                var sum = 0.0
                for row in range.dropFirst() {
                    var meets = false
                    for place in row * K..<(row + 1) * K where experts.contains(Int(chosen[place])) {
                        meets = true
                        sum += Double(mixing[place])
                    }
                    if meets { tokens += 1 }
                }
                met[document] += Double(tokens) / Double(ablated.count)
                weight[document] += sum
            }
        }
    }
}

extension ExperimentPlan.Arm {
    /// The experts that the arm takes away by layer; nil where it changes anything else, or not every token.
    /// - Parameter layers: the layers of the model that have a router.
    public func ablatedExperts(layers: [Int]) -> [Int: Set<Int>]? {
        var ablated: [Int: Set<Int>] = [:]
        for change in changes {
            guard change.scope.positions == nil, change.scope.tokens == nil, change.scope.groups == nil else {
                return nil
            }
            switch change.action {
            case .ablate(let experts, _), .exclude(let experts):
                for layer in change.scope.layers.map(Array.init) ?? layers {
                    ablated[layer, default: []].formUnion(experts)
                }
            default: return nil
            }
        }
        return ablated.isEmpty ? nil : ablated
    }
}
