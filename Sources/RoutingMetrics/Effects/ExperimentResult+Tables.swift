import Foundation

extension ExperimentResult {
    private static let documents = MetricColumn("documents", .integer, "documents paired")
    private static let pValue = MetricColumn("p_value", .real, "two-sided, signs flipped over documents")
    private static let difference = MetricColumn.estimate(
        "difference", unit: "nats", "NLL per token less the untouched model's, paired by document")

    private static func remark(_ estimate: Estimate?) -> MetricCell {
        estimate == nil ? .text("too few documents") : .missing
    }

    /// "effects"; "contrasts" where the plan has controls; "matrix" where arms take single experts away.
    public var tables: [MetricTable] {
        [effectTable] + (contrasts.isEmpty ? [] : [contrastTable]) + (matrix.isEmpty ? [] : [matrixTable])
    }

    private var effectTable: MetricTable {
        MetricTable(
            name: "effects", title: "Effect of every change on every group",
            columns: [
                MetricColumn("arm", .text, "the change"),
                MetricColumn("role", .text, "own experts, a control, or a single change"),
                MetricColumn("target", .text, "the group whose experts are meant"),
            ] + MetricColumn.groupOrPooled + [
                Self.documents, MetricColumn("tokens", .integer, "tokens predicted"),
                MetricColumn("untouched", .real, unit: "nats", "NLL per token of the untouched model"),
            ] + Self.difference + [Self.pValue, .qValue, .note],
            rows: effects.map {
                [.text($0.arm), .text($0.role.rawValue), .optional($0.target)] + $0.effect.group.cells
                    + [.integer($0.effect.documents), .integer($0.effect.tokens), .real($0.effect.first)]
                    + $0.effect.difference.cells
                    + [.optional($0.effect.pValue), .optional($0.qValue), Self.remark($0.effect.difference)]
            })
    }

    private var contrastTable: MetricTable {
        MetricTable(
            name: "contrasts", title: "A group's own experts against the controls, on that group's documents",
            columns: [
                MetricColumn("target", .text, "the group"),
                MetricColumn("control", .text, "what it is compared with"),
                MetricColumn("arms", .integer, "control arms averaged over"), Self.documents,
            ] + Self.difference + [Self.pValue, .qValue, .note],
            rows: contrasts.map {
                [.text($0.target), .text($0.control), .integer($0.arms), .integer($0.documents)]
                    + $0.difference.cells
                    + [.optional($0.pValue), .optional($0.qValue), Self.remark($0.difference)]
            })
    }

    private var matrixTable: MetricTable {
        MetricTable(
            name: "matrix", title: "What each expert is worth to each group",
            columns: [.layer, MetricColumn("expert", .integer, "the expert taken away")]
                + MetricColumn.groupOrPooled + [Self.documents] + Self.difference
                + [Self.pValue, MetricColumn("q_value", .real, "as in the table of effects"), .note],
            rows: matrix.map {
                [.integer($0.layer), .integer($0.expert)] + $0.group.cells + [.integer($0.documents)]
                    + $0.difference.cells
                    + [.optional($0.pValue), .optional($0.qValue), Self.remark($0.difference)]
            })
    }

    /// Writes `result.json` and a CSV file per table beside the plan.
    public func write(to folder: URL) throws {
        for table in tables {
            try table.csvFile().write(to: folder.appending(path: "\(table.name).csv"), options: .atomic)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(self).write(to: folder.appending(path: "result.json"), options: .atomic)
    }
}
