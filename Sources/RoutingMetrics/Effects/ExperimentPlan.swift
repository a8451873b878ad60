import Hooks

/// What an experiment runs beside the untouched model: a file one can read, recorded with the result.
public struct ExperimentPlan: Codable, Sendable, Equatable {
    /// One variant of the model.
    public struct Arm: Codable, Sendable, Equatable {
        /// What an arm is there for.
        public enum Role: String, Codable, Sendable {
            /// The change that the question is about.
            case own
            /// As many random experts in the same layers.
            case random
            /// The same experts in another layer.
            case otherLayer = "other-layer"
            /// One cell of a matrix, one step of a series: compared with the untouched model only.
            case single
        }

        public var name: String
        public var role: Role
        /// The group whose experts are changed, or are the measure of the change.
        public var target: String?
        public var changes: [Intervention]

        public init(name: String, role: Role, target: String? = nil, changes: [Intervention]) {
            self.name = name
            self.role = role
            self.target = target
            self.changes = changes
        }

        /// The expert that the arm takes away, where it changes nothing else.
        public var ablated: ExpertPlace? {
            guard changes.count == 1, let place = changes[0].ablatedExpert else { return nil }
            return ExpertPlace(layer: place.layer, expert: place.expert)
        }
    }

    /// "ablation", "steering", "top-k", "random-routing", or a name of one's own.
    public var kind: String
    public var seed: UInt64
    public var arms: [Arm]

    public init(kind: String, seed: UInt64, arms: [Arm]) {
        self.kind = kind
        self.seed = seed
        self.arms = arms
    }
}

/// One expert of a model.
public struct ExpertPlace: Sendable, Hashable {
    /// The model's own number of the layer, from 0.
    public var layer: Int
    public var expert: Int

    public init(layer: Int, expert: Int) {
        self.layer = layer
        self.expert = expert
    }
}

/// Each document's sum of negative log-likelihood (nats), first tokens left out.
public struct ExperimentLikelihoods: Sendable {
    /// Tokens that each document's sum is over.
    public let tokens: [Int]
    public let baseline: [Double]
    /// By the arm's name.
    public let arms: [String: [Double]]

    public init(tokens: [Int], baseline: [Double], arms: [String: [Double]]) {
        self.tokens = tokens
        self.baseline = baseline
        self.arms = arms
    }
}
