import FileFormats
import Foundation

extension ExperimentResult {
    private static let documents = MetricColumn("documents", .integer, "documents paired")
    private static let pValue = MetricColumn("p_value", .real, "two-sided, signs flipped over documents")
    private static let difference = MetricColumn.estimate(
        "difference", unit: "nats", "NLL per token less the untouched model's, paired by document")

    private static func remark(_ estimate: Estimate?) -> MetricCell {
        estimate == nil ? .text("too few documents") : .missing
    }

    /// "effects"; "contrasts" where the plan has controls, and "contrasts-per-weight" where they take experts away; "matrix"
    /// where arms take single experts away.
    public var tables: [MetricTable] {
        [effectTable] + (contrasts.isEmpty ? [] : [contrastTable])
            + (contrasts.contains { $0.ownWeight != nil } ? [weightTable] : []) + (matrix.isEmpty ? [] : [matrixTable])
    }

    private static func share(_ name: String, _ whose: String) -> MetricColumn {
        MetricColumn(
            name, .real, "share of tokens that met \(whose) in the untouched model, mean over the layers changed")
    }
    private static func weight(_ name: String, _ whose: String) -> MetricColumn {
        MetricColumn(
            name, .real, unit: "weight", "mixing weight per token that went to \(whose), summed over the layers changed"
        )
    }
    private static func perWeight(_ name: String, _ definition: String) -> [MetricColumn] {
        MetricColumn.estimate(name, unit: "nats per weight", definition)
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
            ] + Self.difference + [Self.pValue, .qValue]
                + [Self.share("share", "an ablated expert"), Self.weight("weight", "the ablated experts")]
                + Self.perWeight("per_weight", "the difference divided by the weight") + [.note],
            rows: effects.map {
                [.text($0.arm), .text($0.role.rawValue), .optional($0.target)] + $0.effect.group.cells
                    + [.integer($0.effect.documents), .integer($0.effect.tokens), .real($0.effect.first)]
                    + $0.effect.difference.cells
                    + [.optional($0.effect.pValue), .optional($0.qValue), .optional($0.share), .optional($0.weight)]
                    + $0.perWeight.cells + [Self.remark($0.effect.difference)]
            })
    }

    private static let target = MetricColumn("target", .text, "the group")
    private static let control = MetricColumn("control", .text, "what it is compared with")

    private var contrastTable: MetricTable {
        MetricTable(
            name: "contrasts", title: "A group's own experts against the controls, on that group's documents",
            columns: [
                Self.target, Self.control, MetricColumn("arms", .integer, "control arms averaged over"),
                Self.documents, Self.share("own_share", "one of the own experts"),
                Self.share("control_share", "an expert of the control, mean over its arms"),
            ]
                + MetricColumn.estimate(
                    "difference", unit: "nats",
                    "effect of the own experts' change less the mean effect of the controls'")
                + [
                    MetricColumn(
                        "p_value", .real,
                        "two-sided; random controls: studentized bootstrap over documents and draws; others: signs flipped"
                    ), .qValue,
                    MetricColumn("as_harmful", .integer, "control arms that cost as much as the own experts', or more"),
                ]
                + Self.perWeight(
                    "per_weight", "cost per unit of routed weight, of the own experts less the controls'") + [.note],
            rows: contrasts.map {
                [
                    .text($0.target), .text($0.control), .integer($0.arms), .integer($0.documents),
                    .optional($0.ownShare), .optional($0.controlShare),
                ] + $0.difference.cells + [.optional($0.pValue), .optional($0.qValue), .optional($0.asHarmful)]
                    + $0.perWeight.cells + [Self.remark($0)]
            })
    }

    private static func remark(_ contrast: Contrast) -> MetricCell {
        guard let difference = contrast.difference else { return .text("too few documents") }
        return contrast.control == "random" && contrast.arms < 2 && difference.lower == nil
            ? .text("one draw: no interval") : .missing
    }

    private var weightTable: MetricTable {
        MetricTable(
            name: "contrasts-per-weight", title: "The same, per unit of the routed weight that is taken away",
            columns: [
                Self.target, Self.control, Self.weight("own_weight", "the own experts"),
                Self.weight("control_weight", "the control's experts, mean over its arms"),
            ] + Self.perWeight("own_per_weight", "cost per unit of routed weight of the own experts")
                + Self.perWeight("control_per_weight", "cost per unit of routed weight of the controls")
                + Self.perWeight("per_weight", "own less control"),
            rows: contrasts.map {
                [
                    .text($0.target), .text($0.control), .optional($0.ownWeight), .optional($0.controlWeight),
                ] + $0.ownPerWeight.cells + $0.controlPerWeight.cells + $0.perWeight.cells
            })
    }

    private var matrixTable: MetricTable {
        MetricTable(
            name: "matrix", title: "What each expert is worth to each group",
            columns: [.layer, MetricColumn("expert", .integer, "the expert taken away")]
                + MetricColumn.groupOrPooled + [Self.documents] + Self.difference
                + [
                    Self.pValue, MetricColumn("q_value", .real, "as in the table of effects"),
                    Self.weight("weight", "the expert"),
                ] + Self.perWeight("per_weight", "the difference divided by the weight") + [.note],
            rows: matrix.map {
                [.integer($0.layer), .integer($0.expert)] + $0.group.cells + [.integer($0.documents)]
                    + $0.difference.cells + [.optional($0.pValue), .optional($0.qValue), .optional($0.weight)]
                    + $0.perWeight.cells + [Self.remark($0.difference)]
            })
    }

    /// Writes `result.json` and a CSV file per table beside the plan.
    public func write(to folder: URL) throws {
        for table in tables {
            try AtomicFileWriter.write(table.csvFile(), to: folder.appending(path: "\(table.name).csv"))
        }
        try AtomicFileWriter.write(Data(try prettyJSON().utf8), to: folder.appending(path: "result.json"))
    }
}
