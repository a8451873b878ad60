/// One group's use of one expert in one layer.
public struct GroupExpertShare: Codable, Sendable, Equatable {
    public var layer: Int
    public var group: String
    public var expert: Int
    public var documents: Int
    public var tokens: Int
    /// Assignments of the group's tokens to the expert.
    public var count: Int
    /// nil where the group has too few documents.
    public var share: Estimate?
    /// Log odds ratio of the expert, in the group against the groups it is compared with; natural logarithm. nil where the group is
    /// not compared.
    public var contrast: Double?
    /// The expert's share of the assignments of the groups compared with.
    public var elsewhere: Double?
    /// That the share differs from the one elsewhere, two-sided; as in "association".
    public var pValue: Double?
    /// The same for all layers, groups and experts together.
    public var adjustedP: Double?
    /// Why there is no interval or no p-value.
    public var note: String?

    static func table(_ name: String, _ title: String, _ definition: String, rows: [GroupExpertShare]) -> MetricTable {
        MetricTable(
            name: name, title: title,
            columns: [
                .layer, .group, .expert, .documents, .tokens,
                MetricColumn("assignments", .integer, "assignments of the group's tokens to the expert"),
            ] + MetricColumn.estimate("share", definition) + [
                MetricColumn("elsewhere", .real, "the expert's share of assignments in the groups compared with"),
                MetricColumn("contrast", .real, "log odds ratio of share of assignments, here against elsewhere"),
                .pValue, .adjustedP, .note,
            ],
            rows: rows.map {
                [
                    .integer($0.layer), .text($0.group), .integer($0.expert), .integer($0.documents),
                    .integer($0.tokens), .integer($0.count),
                ] + $0.share.cells + [
                    .optional($0.elsewhere), .optional($0.contrast), .optional($0.pValue), .optional($0.adjustedP),
                    .optional($0.note),
                ]
            })
    }
}

/// Which experts a group's assignments go to: each group's shares sum to 1.
public struct DomainShareMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "domain-share", title: "Domain share, per assignment", formula: "n(g,e) / Σ_e n(g,e); uniform is 1/E",
        source: "Mixtral of Experts (arXiv 2401.04088), section 5 and Figure 7")

    public var sample: MetricSample
    /// 1/E.
    public var uniform: Double
    /// By layer, then group, then expert.
    public var rows: [GroupExpertShare]

    public var tables: [MetricTable] {
        [
            GroupExpertShare.table(
                "domain-share", "Share of each group's assignments", "n(g,e)/Σ_e n(g,e); uniform is 1/E", rows: rows)
        ]
    }
}

/// What part of a group's tokens an expert sees: each group's values sum to K.
public struct SpecializationMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "specialization", title: "Domain specialization, per token", formula: "n(g,e) / N_g; uniform is K/E",
        source: "OLMoE (arXiv 2409.02060), section 5")

    public var sample: MetricSample
    /// K/E.
    public var uniform: Double
    /// By layer, then group, then expert.
    public var rows: [GroupExpertShare]

    public var tables: [MetricTable] {
        [
            GroupExpertShare.table(
                "specialization", "Share of each group's tokens that an expert sees", "n(g,e)/N_g; uniform is K/E",
                rows: rows)
        ]
    }
}
