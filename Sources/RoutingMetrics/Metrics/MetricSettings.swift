import FileFormats
import Traces

/// What shapes every number besides the trace; part of every output.
public struct MetricSettings: Codable, Sendable, Equatable {
    /// What makes a group of documents.
    public enum Grouping: String, Codable, Sendable, CaseIterable {
        /// The documents' `group` field: the language, for the polyglot corpus.
        case group
        /// Quarters by length in tokens: does a finding follow the documents' length?
        case length
    }

    /// Which rows of a document are counted: what was read and what the model generated are never mixed silently.
    public enum Positions: String, Codable, Sendable, CaseIterable {
        case prompt
        case generated
        case all
    }

    public var grouping: Grouping
    public var positions: Positions
    /// Model layers to look at; nil: every captured layer.
    public var layers: [Int]?
    /// Rows left out at the start of each document: 1 leaves out BOS, whose routing is the same everywhere.
    public var skippedPositions: Int
    /// Bootstrap replicates.
    public var bootstrap: Int
    /// Permutations of a permutation test.
    public var permutations: Int
    /// Whether a trace of very many layers, experts, documents and groups gets fewer bootstrap replicates, 199 at least.
    public var adaptsBootstrap = false
    /// The same for permutations.
    public var adaptsPermutations = false
    /// Confidence level of intervals: 0.95.
    public var level: Double
    /// A group with fewer documents gets a note in place of numbers.
    public var minimumDocuments: Int
    public var seed: UInt64
    /// The group that "task-experts" compares with; nil: all other groups together.
    public var reference: String?
    /// Difference of frequencies beyond which "task-experts" counts an expert in.
    public var threshold: Double
    /// Occurrences a token id needs to be shown.
    public var minimumCount: Int
    /// Whether "coactivation" counts only pairs of neighbouring ranks (first with second choice, second with third, …), as
    /// OLMoE's published script does; with two experts a token it is the same.
    public var adjacentRanks: Bool
    /// Worker threads; nil: as many as the machine has cores. Does not change any number.
    public var threads: Int?

    public init(
        grouping: Grouping = .group, positions: Positions = .prompt, layers: [Int]? = nil, skippedPositions: Int = 1,
        bootstrap: Int = 1000,
        permutations: Int = 1999, level: Double = 0.95, minimumDocuments: Int = 5, seed: UInt64 = 20_250_101,
        reference: String? = nil, threshold: Double = 0.1, minimumCount: Int = 20, adjacentRanks: Bool = false,
        threads: Int? = nil
    ) {
        self.grouping = grouping
        self.positions = positions
        self.layers = layers
        self.skippedPositions = skippedPositions
        self.bootstrap = bootstrap
        self.permutations = permutations
        self.level = level
        self.minimumDocuments = minimumDocuments
        self.seed = seed
        self.reference = reference
        self.threshold = threshold
        self.minimumCount = minimumCount
        self.adjacentRanks = adjacentRanks
        self.threads = threads
    }

    enum CodingKeys: String, CodingKey {
        case grouping, positions, layers, bootstrap, permutations, level, seed, reference, threshold
        case minimumCount = "minimum_count"
        case adjacentRanks = "adjacent_ranks"
        case skippedPositions = "skipped_positions"
        case minimumDocuments = "minimum_documents"
    }

    /// The counted rows of a document in its shard.
    func rows(_ document: TraceDocument) -> Range<Int> {
        let rows =
            switch positions {
            case .prompt: document.promptRows
            case .generated: document.generatedRows
            case .all: document.rows
            }
        let first = min(rows.upperBound, max(rows.lowerBound, document.firstRow + skippedPositions))
        return first..<rows.upperBound
    }
}

/// What was counted, beside the settings it was counted with.
public struct MetricSample: Codable, Sendable, Equatable {
    public struct Group: Codable, Sendable, Equatable {
        public var name: String
        public var documents: Int
        public var tokens: Int
        /// Whether it has the documents that the settings ask for.
        public var isLargeEnough: Bool
    }

    public var model: String
    public var documents: Int
    /// After leaving out the skipped positions.
    public var tokens: Int
    public var experts: Int
    public var expertsPerToken: Int
    /// By name.
    public var groups: [Group]
    public var settings: MetricSettings

    /// Names of the groups that have enough documents.
    package var largeGroupNames: [String] { groups.filter(\.isLargeEnough).map(\.name) }
}

/// Why a metric cannot be computed.
public struct MetricError: Error, Sendable, Equatable, CustomStringConvertible {
    public var metric: String
    public var problem: String
    /// What to do about it.
    public var hint: String?

    /// What is wrong with the trace itself; nil where the trace is sound and the metric does not apply to it.
    public var damage: FileError?

    public init(_ metric: String, _ problem: String, hint: String? = nil) {
        self.metric = metric
        self.problem = problem
        self.hint = hint
    }

    /// A trace that cannot be read, or holds what cannot be: no metric of it is worth anything.
    init(_ metric: String, _ damage: FileError) {
        self.init(metric, damage.description)
        self.damage = damage
    }

    public var description: String {
        if let damage { return damage.description }
        let text = "\(metric): \(problem)"
        return hint.map { "\(text) (\($0))" } ?? text
    }
}
