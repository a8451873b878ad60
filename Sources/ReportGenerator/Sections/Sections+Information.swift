import RoutingMetrics

extension Sections {
    /// How much routing tells about the group.
    var information: Section? {
        guard let metric = metrics.information else { return nil }
        let real = metric.layers.filter { Verdict.isFound($0.adjustedP) }
        let low = metric.layers.min { $0.information.value < $1.information.value }
        let high = metric.layers.max { $0.information.value < $1.information.value }
        var lead =
            "Expert and \(names.noun) are associated in \(real.count) of \(Prose.plural(metric.layers.count, "layer")) (adjusted p < \(Verdict.level))."
        if let low, let high, low.layer != high.layer {
            lead +=
                " The information ranges from \(Prose.number(max(0, low.information.value))) bits in layer \(low.layer) to "
                + "\(Prose.number(high.information.value)) bits in layer \(high.layer). The entropy of the \(names.noun)s is "
                + "\(Prose.number(high.groupEntropy)) bits."
        }
        return Section(
            id: "information", title: "How much routing tells about the \(names.noun)", lead: lead,
            paragraphs: [withinTokens].compactMap(\.self), figures: [informationByLayer],
            method: method(InformationMetric.definition, sample: metric.sample),
            downloads: ["information"] + (withinTokens == nil ? [] : ["within-token"]))
    }

    /// Is it the language that the router sees, or its spelling?
    private var withinTokens: String? {
        guard let metric = metrics.result(WithinTokenMetric.self),
            let best = metric.layers.max(by: { $0.within.value < $1.within.value })
        else { return nil }
        let real = metric.layers.count { Verdict.isFound($0.adjustedP) }
        return
            "The experts could merely follow spelling. But among the \(Prose.count(best.tokenIds)) token ids that occur in several "
            + "\(names.noun)s, the expert of one and the same token still carries \(Prose.number(best.within.value)) "
            + "bits\(Prose.interval(best.within)) about its \(names.noun) in layer \(best.layer). Where the token is not held fixed, it is "
            + "\(Prose.number(best.information)) bits. The association within tokens is found in \(real) of "
            + "\(Prose.plural(metric.layers.count, "layer")) (adjusted p < \(Verdict.level))."
    }

    /// Bits that the expert tells about the group, with its interval and what permuted labels give.
    private var informationByLayer: Figure {
        let bits = Measure("bits")
        return Figure(
            id: "figure-information",
            label: "Line of information between group and expert by layer, with interval and null band.",
            caption:
                "Information between group and expert, by layer. The band around the line is the 95 % interval from a bootstrap over "
                + "documents. The grey band at the bottom is the information that remains when group labels are permuted over documents, "
                + "from its mean to its 95th percentile.",
            chart: Charts.lineWithBand(
                "information", x: Spec.layerAxis(depth), "information", bits,
                tooltip: [("layer", "layer", nil)] + Spec.estimate("information", "bits", ".3f") + [
                    ("share", "share of the group's entropy", ".1%"),
                    ("null_upper", "permuted labels, up to", ".4f"), ("p_adjusted", "p", ".4f"),
                ],
                behind: [
                    Marks.band(
                        "information", from: "null_mean", to: "null_upper", bits, colour: "@null", opacity: 0.7)
                ]),
            shown: "information")
    }
}
