/// The one wire form of an intervention, in both directions: manifests, experiment plans and Python. Lists are sorted and
/// absent fields left out, so that equal interventions are equal bytes.
///
///     {"kind": "ablate", "experts": [5], "renormalize": false, "layers": [3], "groups": ["de"]}
extension Intervention: Codable {
    private enum Key: String, CodingKey {
        case kind, experts, by, renormalize, count, seed, with, layers, positions, tokens, groups
    }

    /// Every kind, in the order in which an error lists them.
    private enum Kind: String, CaseIterable {
        case ablate, scale, force, exclude, steer
        case steerHard = "steer_hard"
        case topK = "top_k"
        case randomRouting = "random_routing"
        case replace
    }

    /// The kind as the wire form names it: "ablate", "top_k", …
    public var kind: String {
        let kind: Kind =
            switch action {
            case .ablate: .ablate
            case .scale: .scale
            case .force: .force
            case .exclude: .exclude
            case .steer: .steer
            case .steerHard: .steerHard
            case .topK: .topK
            case .randomRouting: .randomRouting
            case .replace: .replace
            }
        return kind.rawValue
    }

    /// The one expert of the one layer that is taken away; nil for every other change.
    public var ablatedExpert: (layer: Int, expert: Int)? {
        guard case .ablate(let experts, _) = action, experts.count == 1, let layers = scope.layers, layers.count == 1,
            let layer = layers.first
        else { return nil }
        return (layer, experts[0])
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        let name = try values.decode(String.self, forKey: .kind)
        func refuse(_ reason: String) -> DecodingError {
            .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: reason))
        }
        guard let kind = Kind(rawValue: name) else {
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw refuse("no change of kind \"\(name)\"; there are \(known)")
        }
        func need<Value: Decodable>(_ type: Value.Type, _ key: Key) throws -> Value {
            guard let value = try values.decodeIfPresent(type, forKey: key) else {
                throw refuse("a change of kind \"\(name)\" needs the field \"\(key.rawValue)\"")
            }
            return value
        }
        func experts() throws -> [Int] { try need([Int].self, .experts) }
        let action: Action
        switch kind {
        case .ablate:
            action = .ablate(
                experts: try experts(),
                renormalize: try values.decodeIfPresent(Bool.self, forKey: .renormalize) ?? false)
        case .scale: action = .scale(experts: try experts(), by: try need(Float.self, .by))
        case .force: action = .force(experts: try experts())
        case .exclude: action = .exclude(experts: try experts())
        case .steer: action = .steer(experts: try experts(), by: try need(Float.self, .by))
        case .steerHard: action = .steerHard(experts: try experts())
        case .topK: action = .topK(try need(Int.self, .count))
        case .randomRouting: action = .randomRouting(seed: try need(UInt64.self, .seed))
        case .replace:
            let list = try experts()
            guard list.count == 1 else {
                throw refuse("a change of kind \"replace\" needs one expert in \"experts\", found \(list.count)")
            }
            action = .replace(expert: list[0], with: try need(Int.self, .with))
        }
        self.init(
            action,
            in: Scope(
                layers: try values.decodeIfPresent([Int].self, forKey: .layers).map(Set.init),
                positions: try values.decodeIfPresent([Int].self, forKey: .positions).map(Set.init),
                tokens: try values.decodeIfPresent([Int32].self, forKey: .tokens).map(Set.init),
                groups: try values.decodeIfPresent([String].self, forKey: .groups).map(Set.init)))
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        func put(experts: [Int]? = nil, by: Float? = nil) throws {
            try values.encodeIfPresent(experts, forKey: .experts)
            // As a double, so that 0.1 is written as it was typed.
            try values.encodeIfPresent(by.flatMap { Double("\($0)") }, forKey: .by)
        }
        try values.encode(kind, forKey: .kind)
        switch action {
        case .ablate(let experts, let renormalize):
            try put(experts: experts)
            try values.encode(renormalize, forKey: .renormalize)
        case .scale(let experts, let factor): try put(experts: experts, by: factor)
        case .force(let experts): try put(experts: experts)
        case .exclude(let experts): try put(experts: experts)
        case .steer(let experts, let strength): try put(experts: experts, by: strength)
        case .steerHard(let experts): try put(experts: experts)
        case .topK(let count):
            try values.encode(count, forKey: .count)
        case .randomRouting(let seed):
            try values.encode(seed, forKey: .seed)
        case .replace(let expert, let other):
            try put(experts: [expert])
            try values.encode(other, forKey: .with)
        }
        try values.encodeIfPresent(scope.layers?.sorted(), forKey: .layers)
        try values.encodeIfPresent(scope.positions?.sorted(), forKey: .positions)
        try values.encodeIfPresent(scope.tokens?.sorted(), forKey: .tokens)
        try values.encodeIfPresent(scope.groups?.sorted(), forKey: .groups)
    }
}
