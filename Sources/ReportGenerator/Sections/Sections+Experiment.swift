import FileFormats
import RoutingMetrics

extension Sections {
    /// What came of an experiment, where one is given.
    var experimentSection: Section? {
        guard let experiment else { return nil }
        let result = experiment.result
        let random = result.contrasts.filter { $0.control == "random" }.compactMap { contrast in
            contrast.difference.map { "\(Self.nats($0)) for \(names.prose(contrast.target))" }
        }
        let lead: String
        if let matched = ContrastProse(result, noun: names.noun, name: names.prose).sentences {
            lead = matched.joined(separator: " ")
        } else if !random.isEmpty {
            lead =
                "Changing a \(names.noun)'s own experts, rather than as many random experts of the same layers, adds to its negative "
                + "log-likelihood, in nats per token: \(Prose.list(random))."
        } else if let most = result.effects.filter({ $0.effect.group.isPooled && $0.effect.difference != nil })
            .max(by: { ($0.effect.difference?.value ?? 0) < ($1.effect.difference?.value ?? 0) }),
            let difference = most.effect.difference
        {
            lead = "The most harmful change is \(most.arm): \(Self.nats(difference)) nats per token over all documents."
        } else {
            lead = "There are too few documents for an interval around any effect."
        }
        return Section(
            id: "experiment", title: "Experiment: \(result.kind)", lead: lead,
            figures: [contrasts(result) ?? effects(result)].compactMap(\.self),
            method:
                "An effect is the negative log-likelihood per token of the changed model minus that of the unchanged model, paired by "
                + "document. \(Self.chosen(result))p-values come from flipping signs over documents; q-values are Benjamini–Hochberg's. The sample is "
                + "\(Prose.plural(result.size.documents, "document")) with \(Prose.plural(result.size.tokens, "predicted token")). There are "
                + "\(Prose.count(result.settings.bootstrap)) bootstrap replicates; the seed is \(result.settings.seed).",
            downloads: experiment.reportTables.map(\.name), tables: experiment.reportTables)
    }

    private static func nats(_ estimate: Estimate) -> String {
        ContrastProse.signed(estimate.value) + Prose.interval(estimate)
    }

    /// How experts and controls were chosen; nothing where nothing was.
    private static func chosen(_ result: ExperimentResult) -> String {
        guard let documents = result.documents else { return "" }
        let split =
            "A group's own experts have the largest contrast, the logit of the share of its tokens that meet the expert less the "
            + "logit of the other groups' mean share, among experts that meet at least K/E of its tokens. They were chosen on "
            + "\(Prose.plural(documents.choosing.count, "document")), and \(Prose.count(documents.scored.count)) others are scored. "
        guard result.hasMatchedControls else {
            return split + "The random draws vary in interval and p-value as documents do. "
        }
        return split
            + "Random controls are sets of other experts that meet the same share of the group's tokens in every layer: the nearest "
            + "set, and those at most \(Prose.percent(MatchedDraws.tolerance)) of tokens farther off; interval and p-value of that contrast resample "
            + "documents and draws, and the p-value is studentized. Routed weight is the sum of the mixing weights that went to the "
            + "ablated experts in the unchanged model. An effect need not be proportional to it, so that costs per unit are comparable "
            + "where the weights are. Intervals take the choice of experts as given: other documents may choose others. "
    }

    /// What each group's own experts cost it beyond the controls; nil where there are no controls.
    private func contrasts(_ result: ExperimentResult) -> Figure? {
        guard result.contrasts.contains(where: { $0.difference != nil }) else { return nil }
        let matched = result.hasMatchedControls ? " that meet the same share of the group's tokens" : ""
        return Figure(
            id: "figure-experiment",
            label: "Points with intervals: what each group's own experts cost it beyond the controls.",
            caption:
                "What changing a group's own experts costs the group beyond what each control costs it, with 95 % intervals. The controls "
                + "are random experts of the same layers\(matched), the same experts in other layers, and the own experts of other groups. Right of "
                + "zero, the group's own experts matter more to it.",
            chart: Charts.intervals(
                Rows("experiment-contrasts", ["filter": "isValid(datum.difference)"]), row: "target", "difference",
                title: "nats per token",
                encoding: ["color": Spec.category("control"), "yOffset": ["field": "control"]], step: 34,
                tooltip: tips("target")),
            shown: "experiment-contrasts")
    }

    /// Every change's effect over all documents; nil where there is none, or more than can be read in a figure.
    private func effects(_ result: ExperimentResult) -> Figure? {
        guard Set(result.effects.map(\.arm)).count <= 80,
            result.effects.contains(where: { $0.effect.difference != nil })
        else { return nil }
        return Figure(
            id: "figure-experiment", label: "Points with intervals: the effect of every change over all documents.",
            caption:
                "What every change costs over all documents, with 95 % intervals. Right of zero, predictions are worse.",
            chart: Charts.intervals(
                Rows("experiment-effects", ["filter": "datum.pooled == 1 && isValid(datum.difference)"]), row: "arm",
                "difference", title: "nats per token", encoding: ["color": ["value": "@accent"]], step: 17,
                tooltip: tips("arm")),
            shown: "experiment-effects")
    }

    private func tips(_ row: String) -> [Spec.Tip] {
        [(row, row, nil)] + Spec.estimate("difference", "nats per token", ".3f")
            + [("documents", "documents", ",d"), ("q_value", "q", ".4f")]
    }
}
