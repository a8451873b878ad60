/// How a layer's router turns logits into a choice of experts and their mixing weights: score → select → weigh.
///
/// A family makes the value, the forward pass applies it, a trace records it, and every metric that needs a distribution
/// over experts asks it. E experts · K experts per token.
public struct RouterPolicy: Sendable, Equatable, Codable {
    /// What a logit becomes before experts are chosen.
    public enum Score: String, Sendable, Codable {
        /// softmax(z) over all E experts (Mixtral, arXiv 2401.04088 §2.1).
        case softmax
        /// σ(z) of each expert alone (DeepSeek-V3, arXiv 2412.19437 §2.1.2).
        case sigmoid
        /// The masked softmax of SparseMixer (arXiv 2409.12136; `sparsemixer` in transformers' Phi-3.5-MoE).
        case sparseMixer = "sparse_mixer"
    }

    /// Restricts the choice to some groups of consecutive experts (DeepSeek-V2, arXiv 2405.04434 §2.2.2).
    public struct Groups: Sendable, Equatable, Codable {
        /// How the score of a group comes from its experts' selection scores.
        public enum Scoring: String, Sendable, Codable {
            case largest
            case sumOfTwoLargest = "sum_of_two_largest"
        }

        /// Groups of E / count experts each.
        public var count: Int
        /// Groups whose experts can be chosen, per token.
        public var kept: Int
        public var scoring: Scoring

        public init(count: Int, kept: Int, scoring: Scoring) {
            self.count = count
            self.kept = kept
            self.scoring = scoring
        }
    }

    public struct Selection: Sendable, Equatable, Codable {
        /// Experts each token goes to, K.
        public var expertsPerToken: Int
        /// Whether a learned bias per expert is added to the scores for choosing only (`e_score_correction_bias`).
        public var addsBias: Bool
        public var groups: Groups?

        public init(expertsPerToken: Int, addsBias: Bool = false, groups: Groups? = nil) {
            self.expertsPerToken = expertsPerToken
            self.addsBias = addsBias
            self.groups = groups
        }

        /// Choosing among one group is choosing among all experts.
        public mutating func dropSingleGroup() { if groups?.count == 1 { groups = nil } }

        enum CodingKeys: String, CodingKey {
            case groups
            case expertsPerToken = "experts_per_token"
            case addsBias = "adds_bias"
        }
    }

    public struct Weighing: Sendable, Equatable, Codable {
        /// Whether the K weights are divided by their sum.
        public var normalizes: Bool
        /// Added to that sum (DeepSeek-V3: 1e-20).
        public var epsilon: Float
        /// What the weights are multiplied with in the end (`routed_scaling_factor`).
        public var scale: Float
        /// What the sum is raised to where it is less (ERNIE's `moe_norm_min`); nil: it stays.
        public var leastSum: Float?

        public init(normalizes: Bool, epsilon: Float = 0, scale: Float = 1, leastSum: Float? = nil) {
            self.normalizes = normalizes
            self.epsilon = epsilon
            self.scale = scale
            self.leastSum = leastSum
        }

        enum CodingKeys: String, CodingKey {
            case normalizes, epsilon, scale
            case leastSum = "least_sum"
        }
    }

    public var score: Score
    /// SparseMixer's ε, which masks logits far below the largest; 0 for other scores.
    public var jitter: Float
    public var select: Selection
    public var weigh: Weighing

    public init(score: Score, jitter: Float = 0, select: Selection, weigh: Weighing) {
        self.score = score
        self.jitter = jitter
        self.select = select
        self.weigh = weigh
    }

    /// Softmax over all experts, the K largest, their weights divided by their sum or not.
    public static func softmax(expertsPerToken: Int, normalizes: Bool) -> RouterPolicy {
        RouterPolicy(
            score: .softmax, select: Selection(expertsPerToken: expertsPerToken),
            weigh: Weighing(normalizes: normalizes))
    }

    /// Experts each token goes to, K.
    public var expertsPerToken: Int {
        get { select.expertsPerToken }
        set { select.expertsPerToken = newValue }
    }

    /// What a reader calls the score: "softmax", "sigmoid", …
    public var scoreName: String { score == .sparseMixer ? "SparseMixer" : score.rawValue }

    /// One phrase for a screen: "top 2 of softmax, weights divided by their sum".
    public var summary: String {
        var parts = ["top \(expertsPerToken) of \(scoreName)"]
        if select.addsBias { parts[0] += " plus a selection bias" }
        if let groups = select.groups { parts.append("out of \(groups.kept) of \(groups.count) groups of experts") }
        if weigh.normalizes { parts.append("weights divided by their sum") }
        if weigh.scale != 1 { parts.append("weights multiplied by \(weigh.scale)") }
        return parts.joined(separator: ", ")
    }
}
