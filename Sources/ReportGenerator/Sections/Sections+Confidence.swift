import RoutingMetrics

extension Sections {
    /// How decided the router is.
    var confidence: Section? {
        guard let metric = metrics.confidence else { return nil }
        let rows = metric.rows.filter { $0.group.isPooled && $0.entropy != nil }
        guard let sure = rows.min(by: { ($0.entropy?.value ?? 0) < ($1.entropy?.value ?? 0) }),
            let unsure = rows.max(by: { ($0.entropy?.value ?? 0) < ($1.entropy?.value ?? 0) })
        else { return nil }
        return Section(
            id: "confidence", title: "How certain the router is",
            lead: Prose.number(sure.entropy?.value ?? .nan) == Prose.number(unsure.entropy?.value ?? .nan)
                ? "The mean entropy of the router's probabilities is \(Prose.number(sure.entropy?.value ?? .nan)) nats in every layer.\(routerNote)"
                : "The router is most certain in layer \(sure.layer), where the mean entropy of its probabilities is "
                    + "\(Prose.number(sure.entropy?.value ?? .nan)) nats. It is least certain in layer \(unsure.layer) "
                    + "(\(Prose.number(unsure.entropy?.value ?? .nan)) nats).\(routerNote)",
            figures: [entropyByLayer(metric.sample.largeGroupNames)],
            method: method(ConfidenceMetric.definition, sample: metric.sample), downloads: ["confidence"])
    }

    /// Mean router entropy by layer, one line per group.
    /// - Parameter groups: those with enough documents; may be none.
    private func entropyByLayer(_ groups: [String]) -> Figure {
        let nats = Measure("nats", zero: false)
        let together = Marks.line(
            Rows("confidence", ["filter": "datum.pooled == 1"]), "entropy", nats, colour: "@ink", dash: .dashed)
        let x = Spec.layerAxis(depth)
        return Figure(
            id: "figure-confidence", label: "Lines of mean router entropy by layer and group.",
            caption:
                "Mean entropy of the router's probabilities, by layer. The entropy is low where the router is certain. There is one line per "
                + "group\(groups.count > Self.mostGroups ? ", in grey; point at one to see which" : ""); the dashed line is all documents pooled.",
            chart: groups.isEmpty
                ? Charts.layered(x: x, [together])
                : groups.count > Self.mostGroups
                    ? Charts.layered(
                        x: x,
                        [
                            Marks.line(
                                Rows("confidence", ["filter": "datum.pooled == 0"]), "entropy", nats, colour: "@null",
                                detail: "group", width: 1.2,
                                tooltip: [("group", "group", nil), ("entropy", "nats", ".3f")]), together,
                        ])
                    : Charts.lines(
                        Rows("confidence", ["filter": "datum.pooled == 0"]), x: x, "entropy", nats,
                        colour: Spec.category("group", sort: Spec.names(groups)),
                        tooltip: [("group", "group", nil), ("layer", "layer", nil)]
                            + Spec.estimate("entropy", "nats", ".3f")
                            + [("choice_margin", "margin of the last choice", ".3f")],
                        emphasis: .light, behind: [together]),
            shown: "confidence")
    }
}
