import FileFormats
import RoutingMetrics

extension Sections {
    /// How much routing tells about the group.
    var information: Section? {
        guard let metric = metrics.information else { return nil }
        let real = metric.layers.filter { Verdict.isFound($0.adjustedP) }
        var lead = ""
        if let best = metric.mostInformativeSet(among: real.map(\.layer)), let bits = best.information,
            let share = best.share
        {
            lead =
                "In layer \(best.layer), a token's \(setOfExperts) \(best.method == .decoding ? "tells at least" : "tells") "
                + "\(Prose.number(bits.value)) of \(Prose.number(best.groupEntropy)) bits about its \(names.noun)\(Prose.interval(bits)), which is "
                + "\(Prose.percent(share.value))\(Prose.percentInterval(share))."
            if metric.sample.expertsPerToken > 1, let single = metric.unit(.assignment, layer: best.layer)?.information
            {
                lead +=
                    " Taken one by one, each of its assignments tells \(Prose.number(single.value)) bits\(Prose.interval(single))."
            }
            lead += " "
        }
        lead +=
            "Expert and \(names.noun) are associated in \(real.isEmpty ? "none" : "\(real.count)") of \(Prose.plural(metric.layers.count, "layer")) (adjusted p < \(Verdict.level))."
        let decoded = decodedTokens(real.map(\.layer))
        return Section(
            id: "information", title: "How much routing tells about the \(names.noun)", lead: lead,
            paragraphs: [decoded, withinTokens].compactMap(\.self),
            figures: [informationByLayer(metric)] + (decoding.map { [accuracyByLayer($0)] } ?? []),
            method: method(InformationMetric.definition, sample: metric.sample)
                + (decoding == nil ? "" : " \(DecodingMetric.definition.title): \(DecodingMetric.definition.formula)."),
            downloads: ["information", "information-units"]
                + (decoding == nil ? [] : ["decoding", "decoding-windows"])
                + (withinTokens == nil ? [] : ["within-token"]))
    }

    private var decoding: DecodingMetric? { metrics.result(DecodingMetric.self) }

    /// "set of two experts".
    private var setOfExperts: String {
        let words = ["no experts", "one expert", "two", "three", "four", "five", "six", "seven", "eight"]
        let slots = model.expertsPerToken
        guard slots > 1 else { return "expert" }
        return "set of \(slots < words.count ? words[slots] : Prose.count(slots)) experts"
    }

    /// How soon the group is known, in the layer where it is known best.
    /// - Parameter layers: to choose among.
    private func decodedTokens(_ layers: [Int]) -> String? {
        guard let metric = decoding,
            let best = metric.layers.filter({ layers.contains($0.layer) }).max(by: { $0.gain.value < $1.gain.value })
        else { return nil }
        var isFirst = true
        let accuracies = best.windows.compactMap { window -> String? in
            guard let accuracy = window.accuracy else { return nil }
            var interval = ""
            if let low = accuracy.lower, let high = accuracy.upper {
                interval = " (\(isFirst ? "95 % interval " : "")\(Prose.percent(low)) to \(Prose.percent(high)))"
            }
            isFirst = false
            return "\(Prose.percent(accuracy.value))\(interval) after \(Prose.plural(window.length, "token"))"
        }
        guard !accuracies.isEmpty else { return nil }
        return
            "From the experts of layer \(best.layer) alone, a naive Bayes model that knows other documents only names the right one of "
            + "\(Prose.count(metric.groups.count)) \(names.noun)s in \(Prose.list(accuracies)). Chance is \(Prose.percent(metric.chance))."
    }

    /// Is it the language that the router sees, or its spelling?
    private var withinTokens: String? {
        guard let metric = metrics.result(WithinTokenMetric.self) else { return nil }
        let real = metric.layers.filter { Verdict.isFound($0.adjustedP) }
        guard let best = real.max(by: { $0.within.value < $1.within.value }) else {
            return metric.withinToken.outcome == .notFound
                ? "The experts may follow spelling: that one and the same token is routed differently in different \(names.noun)s was not found."
                : nil
        }
        return
            "The experts could merely follow spelling. But among the \(Prose.plural(best.tokenIds, "token id")) in several "
            + "\(names.noun)s, the expert of one and the same token still carries \(Prose.number(best.within.value)) "
            + "bits\(Prose.interval(best.within)) about its \(names.noun) in layer \(best.layer). Where the token is not held fixed, it is "
            + "\(Prose.number(best.information)) bits. The association within tokens is found in \(real.count) of "
            + "\(Prose.plural(metric.layers.count, "layer")) (adjusted p < \(Verdict.level))."
    }

    /// Bits that the set, the first choice and an assignment tell about the group, each with its interval.
    private func informationByLayer(_ metric: InformationMetric) -> Figure {
        let bits = Measure("bits")
        // With one expert a token, the three are the same.
        let units = metric.sample.expertsPerToken > 1 ? InformationMetric.Unit.allCases.reversed() : [.set]
        let shown = units.map(\.rawValue)
        func rows(_ unit: String) -> Rows {
            Rows("information-units", ["filter": .string("datum.unit == '\(unit)'")])
        }
        let isBound = metric.units.contains { $0.method == .decoding }
        return Figure(
            id: "figure-information",
            label:
                "Lines of the information about the group by layer: of the set of experts, the first choice and an assignment.",
            caption:
                "Information about the \(names.noun), by layer: of a token's set of experts, of its first choice, and of an assignment, which is one "
                + "of its choices. The bands are 95 % intervals from a bootstrap over documents."
                + (isBound ? " What the set tells is a lower bound, from held-out decoding." : ""),
            chart: Charts.lines(
                Rows("information-units", ["filter": ["field": "unit", "oneOf": Spec.names(shown)]]),
                x: Spec.layerAxis(depth), "information", bits,
                colour: Spec.category("unit", domain: Spec.names(shown)),
                tooltip: [("layer", "layer", nil), ("unit", "unit", nil), ("method", "method", nil)]
                    + Spec.estimate("information", "bits", ".3f") + [("share", "share of the group's entropy", ".1%")],
                behind: shown.map {
                    Marks.band(
                        rows($0), from: "information_lower", to: "information_upper", bits, colour: "@null",
                        opacity: 0.4)
                }),
            shown: "information-units")
    }

    /// How often the group is told from the experts of 1, 5, 20 and 100 consecutive tokens.
    private func accuracyByLayer(_ metric: DecodingMetric) -> Figure {
        let accuracy = Measure("accuracy", format: "%")
        func words(_ length: Int) -> String { Prose.plural(length, "token") }
        let names = DecodingMetric.windowLengths.map(words)
        let rows = Rows(
            "decoding-windows", ["filter": "isValid(datum.accuracy)"],
            ["calculate": "datum.length + (datum.length == 1 ? ' token' : ' tokens')", "as": "after"])
        return Figure(
            id: "figure-decoding",
            label: "Lines of the share of windows of 1, 5, 20 and 100 tokens whose group is told, by layer.",
            caption:
                "How often the \(self.names.noun) is told from the experts of so many consecutive tokens, by layer: the mean over "
                + "\(self.names.noun)s of the share of windows that are told right. Models are fitted on other documents. The dashed line is chance.",
            chart: Charts.lines(
                rows, x: Spec.layerAxis(depth), "accuracy", accuracy,
                colour: Spec.category("after", domain: Spec.names(names)),
                tooltip: [("layer", "layer", nil), ("after", "after", nil)]
                    + Spec.estimate("accuracy", "accuracy", ".1%") + [("windows", "windows", ",d")],
                behind: [Marks.line("decoding-windows", "chance", accuracy, colour: "@muted", dash: .dashed)]),
            shown: "decoding-windows")
    }
}
