/// How much an assignment tells about its group.
public struct InformationMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "information", title: "Information between group and expert",
        formula:
            "I(G;E) = Σ p(g,e) log₂ p(g,e)/(p(g)p(e)) over assignments, less Miller–Madow's (filled cells − rows − columns + 1)/(2N ln 2); share: I/H(G)",
        source: "Miller 1955; p-values: see \"association\"")

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var assignments: Int
        /// Bits, without correction.
        public var plugIn: Double
        /// Bits, Miller–Madow corrected.
        public var information: Estimate
        /// H(G) in bits: what could be told at most.
        public var groupEntropy: Double
        /// information / groupEntropy
        public var share: Estimate
        /// Bits: mean of the corrected value over permuted group labels.
        public var nullMean: Double
        /// Bits: 95th percentile over permuted group labels.
        public var nullUpper: Double
        /// That some expert's share differs between groups, for all experts and groups of the layer; nil where no group can be
        /// compared.
        public var pValue: Double?
        /// The same for all layers together.
        public var adjustedP: Double?
    }

    public var sample: MetricSample
    public var layers: [Layer]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: "information", title: "Information between group and expert, by layer",
                columns: [
                    .layer, MetricColumn("assignments", .integer, "assignments counted"),
                    MetricColumn("plug_in", .real, unit: "bits", "I(group; expert) without correction"),
                ] + MetricColumn.estimate("information", unit: "bits", "I(group; expert), Miller–Madow corrected")
                    + [MetricColumn("group_entropy", .real, unit: "bits", "H(group) over assignments")]
                    + MetricColumn.estimate("share", "information over group_entropy") + [
                        MetricColumn("null_mean", .real, unit: "bits", "mean over permuted group labels"),
                        MetricColumn("null_upper", .real, unit: "bits", "95th percentile over permuted group labels"),
                        .pValue, .adjustedP,
                    ],
                rows: layers.map {
                    [.integer($0.layer), .integer($0.assignments), .real($0.plugIn)] + $0.information.cells
                        + [.real($0.groupEntropy)] + $0.share.cells
                        + [.real($0.nullMean), .real($0.nullUpper), .optional($0.pValue), .optional($0.adjustedP)]
                })
        ]
    }
}
