/// How much routing tells about the group: an assignment, a token's first choice, and its set of K experts are different variables.
/// What a reader calls "how much routing tells" is about the set; an assignment is one K-th of it, so that a set that tells
/// everything by one expert of eight shows as an eighth.
public struct InformationMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "information", title: "Information between group and expert",
        formula:
            "I(G;E) = Σ p(g,e) log₂ p(g,e)/(p(g)p(e)) over assignments, over tokens' first choices, or over their sets of K experts, less the "
            + "jackknife's bias over documents, parallel sets or clusters; share: I/H(G). Where sets are too many to count: the bound of \"decoding\"",
        source: "bias: Quenouille 1949; p-values: see \"association\"")

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var assignments: Int
        /// Bits, without correction.
        public var plugIn: Double
        /// Bits, less the jackknife's bias.
        public var information: Estimate
        /// H(G) in bits: what could be told at most.
        public var groupEntropy: Double
        /// information / groupEntropy
        public var share: Estimate
        /// That some expert's share differs between groups, for all experts and groups of the layer; nil where no group can be
        /// compared.
        public var pValue: Double?
        /// The same for all layers together.
        public var adjustedP: Double?
    }

    /// What is looked at of a token.
    public enum Unit: String, Codable, Sendable, CaseIterable {
        /// One of its K choices; as many as there are choices.
        case assignment
        case firstChoice = "first choice"
        /// Its K experts, without order.
        case set
    }

    public enum Method: String, Codable, Sendable {
        /// The counts' own information, less the jackknife's bias.
        case plugIn = "plug-in"
        /// A lower bound: what a model fitted on other documents tells (`DecodingMetric`).
        case decoding = "held-out decoding"
    }

    public struct UnitRow: Codable, Sendable, Equatable {
        public var layer: Int
        public var unit: Unit
        public var method: Method
        /// Tokens looked at.
        public var tokens: Int
        /// Bits; nil where neither method applies.
        public var information: Estimate?
        /// information / groupEntropy
        public var share: Estimate?
        /// H(G) in bits, over the assignments or tokens counted.
        public var groupEntropy: Double
        /// Why decoding was used, or what it says.
        public var note: String?
    }

    public var sample: MetricSample
    public var layers: [Layer]
    /// By layer, then unit.
    public var units: [UnitRow]

    public func unit(_ unit: Unit, layer: Int) -> UnitRow? { units.first { $0.layer == layer && $0.unit == unit } }

    /// What the set tells in a layer.
    public func set(_ layer: Int) -> UnitRow? { unit(.set, layer: layer) }

    /// The layer in which the set tells most.
    /// - Parameter layers: to choose among; nil: all.
    public func mostInformativeSet(among layers: [Int]? = nil) -> UnitRow? {
        units.filter { $0.unit == .set && $0.information != nil && layers?.contains($0.layer) ?? true }
            .max { $0.information?.value ?? 0 < $1.information?.value ?? 0 }
    }

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: "information", title: "Information between group and expert by assignment, by layer",
                columns: [
                    .layer, MetricColumn("assignments", .integer, "assignments counted"),
                    MetricColumn("plug_in", .real, unit: "bits", "I(group; expert) without correction"),
                ]
                    + MetricColumn.estimate(
                        "information", unit: "bits", "I(group; expert) less the jackknife's bias",
                        forAll: "layers")
                    + [MetricColumn("group_entropy", .real, unit: "bits", "H(group) over assignments")]
                    + MetricColumn.estimate("share", "information over group_entropy", forAll: "layers") + [
                        .pValue, .adjustedP,
                    ],
                rows: layers.map {
                    [.integer($0.layer), .integer($0.assignments), .real($0.plugIn)] + $0.information.cells
                        + [.real($0.groupEntropy)] + $0.share.cells
                        + [.optional($0.pValue), .optional($0.adjustedP)]
                }),
            MetricTable(
                name: "information-units",
                title: "Information about the group by assignment, first choice and set, by layer",
                columns: [
                    .layer,
                    MetricColumn("unit", .text, "what is looked at: \"assignment\", \"first choice\" or \"set\""),
                    MetricColumn(
                        "method", .text,
                        "\"plug-in\": the counts' own, less the jackknife's bias; \"held-out decoding\": a lower bound"),
                    .tokens,
                ]
                    + MetricColumn.estimate(
                        "information", unit: "bits", "I(group; unit), or the lower bound",
                        forAll: "layers")
                    + MetricColumn.estimate("share", "information over group_entropy", forAll: "layers")
                    + [
                        MetricColumn("group_entropy", .real, unit: "bits", "H(group) over assignments or tokens"),
                        .note,
                    ],
                rows: units.map {
                    [.integer($0.layer), .text($0.unit.rawValue), .text($0.method.rawValue), .integer($0.tokens)]
                        + $0.information.cells + $0.share.cells + [.real($0.groupEntropy), .optional($0.note)]
                }),
        ]
    }
}
