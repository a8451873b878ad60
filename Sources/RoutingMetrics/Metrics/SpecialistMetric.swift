/// The expert that is most of each group's own, and whether another source of documents says so too.
public struct SpecialistMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "specialists", title: "Each group's most specialized expert",
        formula:
            "of the (layer, expert) cells whose share differs (adjusted p < 1 − level, see \"association\") and is larger in the group: the one "
            + "with the largest lower bound of ln(odds of the share in the group / odds of the share elsewhere); bounds hold for all cells "
            + "at once, so also for the chosen one",
        source:
            "simultaneous intervals: Bonferroni with Student's t; replication: the cell is chosen in the documents of all clusters but one and tested in that one"
    )

    /// A cell that was chosen, with intervals that the choice does not spoil.
    public struct Row: Codable, Sendable, Equatable {
        public var group: String
        public var layer: Int
        public var expert: Int
        public var documents: Int
        public var tokens: Int
        /// The expert's share of the group's assignments.
        public var share: Estimate
        /// Its share of the assignments of the groups compared with.
        public var elsewhere: Estimate
        /// Log odds ratio of the two, natural logarithm.
        public var logOdds: Estimate
        public var adjustedP: Double
        /// Cells that the bounds hold for at once.
        public var cells: Int
    }

    /// A cell chosen among the documents of all other clusters, and tested among those of one.
    public struct Replication: Codable, Sendable, Equatable {
        public var group: String
        public var layer: Int
        public var expert: Int
        /// The cluster whose documents test it; those of all others have chosen it.
        public var cluster: String
        /// Documents of the group in the cluster where it was tested.
        public var documents: Int
        public var share: Double
        public var elsewhere: Double
        public var logOdds: Double
        /// Two-sided, for this cell.
        public var pValue: Double
        /// Bonferroni over the rows of the table.
        public var adjustedP: Double
    }

    public var sample: MetricSample
    /// By group; a group without a cell that differs has no row.
    public var rows: [Row]
    /// Groups that cannot be compared, and why.
    public var notCompared: [String: String]
    /// By group; empty where no two clusters have documents of the same groups.
    public var replications: [Replication]
    /// The difference of shares that would be found in four of five such samples: the median over cells; nil where nothing is compared.
    public var detectable: Double?

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: Self.definition.title,
                columns: [.group, .layer, .expert, .documents, .tokens]
                    + MetricColumn.estimate(
                        "share", "the expert's share of the group's assignments", forAll: "cells")
                    + MetricColumn.estimate(
                        "elsewhere", "its share of assignments in the groups compared with", forAll: "cells")
                    + MetricColumn.estimate("log_odds", "log odds ratio of the two", forAll: "cells") + [
                        .adjustedP, MetricColumn("cells", .integer, "cells that the bounds hold for at once"), .note,
                    ],
                rows: rows.map {
                    [
                        .text($0.group), .integer($0.layer), .integer($0.expert), .integer($0.documents),
                        .integer($0.tokens),
                    ]
                        + $0.share.cells + $0.elsewhere.cells + $0.logOdds.cells
                        + [.real($0.adjustedP), .integer($0.cells), .missing]
                }
                    + sample.groups.filter { group in !rows.contains { $0.group == group.name } }.map { group in
                        let note =
                            notCompared[group.name] ?? (group.isLargeEnough ? "no expert found" : "too few documents")
                        return [
                            .text(group.name), .missing, .missing, .integer(group.documents), .integer(group.tokens),
                        ]
                            + [MetricCell](repeating: .missing, count: 11) + [.text(note)]
                    })
        ] + (replications.isEmpty ? [] : [replicationTable])
    }

    private var replicationTable: MetricTable {
        MetricTable(
            name: "specialists-replication", title: "Experts chosen in all clusters but one and tested in that one",
            columns: [
                .group,
                MetricColumn(
                    "cluster", .text, "cluster whose documents test the expert; those of all others have chosen it"),
                .layer, .expert, .documents,
                MetricColumn("share", .real, "the expert's share of the group's assignments, where tested"),
                MetricColumn("elsewhere", .real, "its share in the groups compared with, where tested"),
                MetricColumn("log_odds", .real, "log odds ratio of the two"), .pValue,
                MetricColumn("p_adjusted", .real, "p-value for the rows of this table together (Bonferroni)"),
            ],
            rows: replications.map {
                [
                    .text($0.group), .text($0.cluster), .integer($0.layer), .integer($0.expert), .integer($0.documents),
                    .real($0.share), .real($0.elsewhere), .real($0.logOdds), .real($0.pValue),
                    .real($0.adjustedP),
                ]
            })
    }

    /// - Throws: where fewer than two groups have enough documents.
    public static func compute(_ input: MetricInput) throws(MetricError) -> SpecialistMetric {
        let groups = try input.groupsToCompare(definition.name)
        let contrasts = input.contrasts
        let count = contrasts.test.count
        let level = input.settings.level
        var rows: [Row] = []
        for group in groups {
            guard let best = contrasts.specialist(of: group, settings: input.settings) else { continue }
            let found = best.cell.simultaneous(level: level, count: count)
            let sample = input.sample.groups[group]
            rows.append(
                Row(
                    group: sample.name, layer: input.layers[best.layer].layer, expert: best.expert,
                    documents: sample.documents, tokens: sample.tokens, share: found.share, elsewhere: found.elsewhere,
                    logOdds: found.logOdds, adjustedP: best.cell.adjustedP, cells: count))
        }
        let all = contrasts.test.cells.flatMap { $0.compactMap(\.self).flatMap(\.self) }
        let differences = all.map { $0.detectable(level: level, count: count) }.filter { $0.isFinite && $0 > 0 }
            .sorted()
        return SpecialistMetric(
            sample: input.sample, rows: rows,
            notCompared: Dictionary(uniqueKeysWithValues: input.confounded.map { (input.groups[$0], $1) }),
            replications: try replications(input, groups),
            detectable: differences.isEmpty ? nil : quantile(differences, 0.5))
    }

    /// More clusters than this are units, and too many to be looked at one by one.
    private static let mostSources = 20

    private static func replications(
        _ input: MetricInput, _ groups: [Int]
    ) throws(MetricError) -> [Replication] {
        let least = max(2, input.settings.minimumDocuments)
        var documents: [String: [Int: Int]] = [:]
        for document in input.trace.documents where input.tokens[document.index] > 0 {
            guard let cluster = document.cluster, groups.contains(input.groupOf[document.index]) else { continue }
            documents[cluster, default: [:]][input.groupOf[document.index], default: 0] += 1
        }
        let sources = documents.mapValues { $0.filter { $0.value >= least } }.filter { $0.value.count > 1 }
            .sorted { $0.key < $1.key }
        guard 2...mostSources ~= sources.count else { return [] }
        let compared = input.comparableGroups
        var rows: [Replication] = []
        for (place, source) in sources.enumerated() {
            func contrasts(_ groups: [Int], _ stream: UInt64, where isKept: (String?) -> Bool) -> GroupContrasts {
                let tables = input.contrastTables(groups) { isKept(input.trace.documents[$0].cluster) }
                return GroupContrasts(
                    test: ContrastTest(
                        tables, targets: Array(groups.indices), settings: input.settings, stream: stream),
                    groups: groups)
            }
            let stream = 0x7265_7000 + 2 * UInt64(place)
            let choosing = contrasts(compared, stream) { $0 != source.key }
            let testing = contrasts(source.value.keys.sorted(), stream + 1) { $0 == source.key }
            for group in testing.groups {
                guard let best = choosing.specialist(of: group, settings: input.settings),
                    let cell = testing.cells(layer: best.layer, group: group)?[best.expert]
                else { continue }
                rows.append(
                    Replication(
                        group: input.groups[group], layer: input.layers[best.layer].layer, expert: best.expert,
                        cluster: source.key, documents: source.value[group] ?? 0, share: cell.share,
                        elsewhere: cell.rest, logOdds: cell.logOdds, pValue: cell.pValue, adjustedP: 1))
            }
        }
        rows.sort { ($0.group, $0.cluster) < ($1.group, $1.cluster) }
        for index in rows.indices { rows[index].adjustedP = min(1, rows[index].pValue * Double(rows.count)) }
        return rows
    }
}
