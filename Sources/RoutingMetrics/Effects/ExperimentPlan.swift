import Hooks

/// What an experiment runs beside the untouched model: a file one can read, recorded with the result.
public struct ExperimentPlan: Codable, Sendable, Equatable {
    /// One variant of the model.
    public struct Arm: Codable, Sendable, Equatable {
        /// What an arm is there for.
        public enum Role: String, Codable, Sendable {
            /// The change that the question is about.
            case own
            /// Random other experts in the same layers. For ablation, as many as meet the same share of the target's tokens.
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
        /// Groups whose documents it runs over; nil: all.
        public var groups: [String]?
        /// The share of the target's tokens that meet an ablated expert, on the documents that chose the experts, mean over layers.
        public var share: Double?

        public init(
            name: String, role: Role, target: String? = nil, changes: [Intervention], groups: [String]? = nil,
            share: Double? = nil
        ) {
            self.name = name
            self.role = role
            self.target = target
            self.changes = changes
            self.groups = groups
            self.share = share
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
    /// Which documents chose the experts, and which are scored; nil: nothing was chosen by documents, and all are scored.
    public var split: DocumentSplit?

    public init(kind: String, seed: UInt64, arms: [Arm], split: DocumentSplit? = nil) {
        self.kind = kind
        self.seed = seed
        self.arms = arms
        self.split = split
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
    /// Tokens that each document's sum is over; 0 where it is not scored.
    public let tokens: [Int]
    public let baseline: [Double]
    /// By the arm's name; NaN where an arm does not run over a document.
    public let arms: [String: [Double]]
    /// What the experts that an arm ablates carried in the untouched model, by the arm's name.
    public let loads: [String: AblatedLoad]

    public init(
        tokens: [Int], baseline: [Double], arms: [String: [Double]], loads: [String: AblatedLoad] = [:]
    ) {
        self.tokens = tokens
        self.baseline = baseline
        self.arms = arms
        self.loads = loads
    }

    /// Of some documents only, in the order given.
    func restricted(to documents: [Int]) -> ExperimentLikelihoods {
        func kept(_ values: [Double]) -> [Double] { documents.map { values[$0] } }
        return ExperimentLikelihoods(
            tokens: documents.map { tokens[$0] }, baseline: kept(baseline), arms: arms.mapValues(kept),
            loads: loads.mapValues { AblatedLoad(met: kept($0.met), weight: kept($0.weight)) })
    }
}
