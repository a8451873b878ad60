import Foundation
import Traces

/// Does the router see the group, or only its spelling? Information about the group that is left when the token is known.
public struct WithinTokenMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "within-token", title: "Specialization within shared tokens",
        formula:
            "I(G;E|X) = Σ_x n(x)/N · I(G;E | X = x) over tokens x that two groups or more use at least the minimum count, "
            + "Miller–Madow corrected for every x; within: less the bootstrap's bias over documents; beside it I(G;E) of the same assignments",
        source:
            "conditional mutual information (Cover & Thomas, section 2.5); p-values: as in \"association\", on what documents do beyond their "
            + "tokens (Mantel & Haenszel 1959)")

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        /// Documents looked at: of a large trace, evenly spread ones of each group.
        public var documents: Int
        /// Token ids shared by groups, and assignments of their occurrences.
        public var tokenIds: Int
        public var assignments: Int
        /// Bits: I(G;E) over these assignments, without regard to the token.
        public var information: Double
        /// Bits: I(G;E|X), Miller–Madow corrected for every token.
        public var conditional: Double
        /// Bits: as the counts are, less the bias that the bootstrap over documents sees. Tokens of one document resemble each
        /// other, and a token that few documents use tells them apart; Miller–Madow knows nothing of documents.
        public var within: Estimate
        /// Bits: mean of I(G;E|X) over permuted labels.
        public var nullMean: Double
        /// That some expert's share differs between groups for the same tokens, for all experts and groups of the layer; nil where no
        /// group can be compared.
        public var pValue: Double?
        /// The same for all layers together.
        public var adjustedP: Double?
        /// Fewer than the settings ask for where the trace is large.
        public var permutations: Int
        public var bootstrap: Int
    }

    public var sample: MetricSample
    public var layers: [Layer]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Information about the group within shared tokens",
                columns: [
                    .layer, .documents, MetricColumn("token_ids", .integer, "token ids that groups share"),
                    MetricColumn("assignments", .integer, "assignments of their occurrences"),
                    MetricColumn("information", .real, unit: "bits", "I(group; expert) over these assignments"),
                    MetricColumn(
                        "conditional", .real, unit: "bits", "I(group; expert | token), Miller–Madow corrected"),
                ]
                    + MetricColumn.estimate(
                        "within", unit: "bits", "I(group; expert | token) less the bootstrap's bias over documents") + [
                        MetricColumn("null_mean", .real, unit: "bits", "mean over permuted group labels"), .pValue,
                        .adjustedP,
                        MetricColumn("permutations", .integer, "permutations made"),
                        MetricColumn("bootstrap", .integer, "bootstrap replicates made"),
                    ],
                rows: layers.map {
                    [
                        .integer($0.layer), .integer($0.documents), .integer($0.tokenIds), .integer($0.assignments),
                        .real($0.information), .real($0.conditional),
                    ] + $0.within.cells + [
                        .real($0.nullMean), .optional($0.pValue), .optional($0.adjustedP), .integer($0.permutations),
                        .integer($0.bootstrap),
                    ]
                })
        ]
    }

    /// Assignments that permutations and replicates of one layer may visit.
    static let budget = 240_000_000
    /// Assignments of one layer that are kept, in memory and for every permutation to visit.
    static let assignmentBudget = 2_000_000

    /// - Throws: where fewer than two groups have enough documents, or groups share no token.
    public static func compute(_ input: MetricInput) throws(MetricError) -> WithinTokenMetric {
        let groups = try input.groupsToCompare(definition.name)
        let shared = try SharedTokens(input, groups)
        guard shared.count > 0 else {
            throw MetricError(
                definition.name, "no token that two groups use \(input.settings.minimumCount) times each",
                hint: "trace more documents")
        }
        var layers: [Layer] = []
        let compared = input.comparableGroups
        let comparable = groups.indices.filter { compared.contains(groups[$0]) }
        var residuals: [DocumentTable] = []
        var noise: [[Double]] = []
        for layer in input.layers {
            let assignments = try SharedAssignments(input, layer, shared)
            let found = assignments.residuals()
            residuals.append(found.table.restricted(to: comparable))
            noise.append(found.noise)
            var settings = input.settings
            let rounds = max(99, budget / max(1, assignments.count))
            settings.permutations = min(settings.permutations, rounds)
            settings.bootstrap = min(settings.bootstrap, rounds)
            layers.append(assignments.summary(settings, stream: input.stream(definition.name, layer)))
        }
        guard comparable.count > 1 else { return WithinTokenMetric(sample: input.sample, layers: layers) }
        let test = ContrastTest(
            residuals, targets: Array(comparable.indices), settings: input.settings, stream: 0x746f6b,
            noise: noise)
        for index in layers.indices {
            let found = test.smallest(index)
            layers[index].pValue = found?.tableP
            layers[index].adjustedP = found?.adjustedP
        }
        return WithinTokenMetric(sample: input.sample, layers: layers)
    }
}
