import RoutingMetrics

/// What an ablation says of each group's own experts beside random others of the same load, in sentences.
public struct ContrastProse {
    let result: ExperimentResult
    let noun: String
    let name: (String) -> String

    /// - Parameters:
    ///   - noun: what a group is called: "language".
    ///   - name: a group's name as prose has it.
    init(_ result: ExperimentResult, noun: String, name: @escaping (String) -> String) {
        self.result = result
        self.noun = noun
        self.name = name
    }

    /// With the groups' names as the corpus has them.
    public init(_ result: ExperimentResult) {
        let names = GroupNames(groups: Array(Set(result.contrasts.map(\.target))).sorted())
        self.init(result, noun: names.noun, name: names.prose)
    }

    /// What it costs, and what it costs per unit of routed weight; nil where no control was matched in load.
    public var sentences: [String]? {
        let matched = result.contrasts.filter { $0.control == "random" && $0.verdict != nil }
        guard result.hasMatchedControls, !matched.isEmpty else { return nil }
        let draws = Set(matched.map(\.arms)).sorted()
        let drawn = draws.count == 1 ? "\(draws[0])" : "\(draws[0]) to \(draws[draws.count - 1])"
        func told(_ verdict: ContrastVerdict, _ beginning: String) -> String? {
            let told = matched.filter { $0.verdict == verdict }.map(cost)
            return told.isEmpty ? nil : "\(beginning) \(Prose.list(told))."
        }
        let weights = matched.compactMap { contrast in
            contrast.perWeight.map { "\(name(contrast.target)) \(Self.signed($0.value))\(Prose.interval($0))" }
        }
        return [
            "Each \(noun)'s own experts were taken away, and in their place random others of the same layers that meet the same "
                + "share of its tokens (\(drawn) draws).",
            told(.costsMore, "Losing its own experts costs more nats per token for"),
            told(.costsLess, "It costs less for"),
            told(.notToldApart, "Own experts and controls are not told apart for"),
            weights.isEmpty
                ? nil
                : "Own experts less controls per unit of routed weight taken away, in nats: \(Prose.list(weights)).",
        ].compactMap(\.self)
    }

    private func cost(_ contrast: ExperimentResult.Contrast) -> String {
        guard let difference = contrast.difference, let own = contrast.ownShare, let control = contrast.controlShare
        else { return name(contrast.target) }
        let harmful = contrast.asHarmful ?? 0
        return "\(name(contrast.target)) (\(Self.signed(difference.value)), "
            + "95 % interval \(Prose.number(difference.lower ?? .nan)) to \(Prose.number(difference.upper ?? .nan)); "
            + "\(Prose.percent(own)) of tokens against \(Prose.percent(control)); \(harmful) of \(contrast.arms) draws cost as much)"
    }

    static func signed(_ value: Double) -> String { (value > 0 ? "+" : "") + Prose.number(value) }
}
