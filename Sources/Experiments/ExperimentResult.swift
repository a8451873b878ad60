import RoutingMetrics

/// What every change did to every group, and how that compares with the controls.
public struct ExperimentResult: Codable, Sendable {
    /// One arm's effect on one group.
    public struct Effect: Codable, Sendable, Equatable {
        public var arm: String
        public var role: ExperimentPlan.Arm.Role
        public var target: String?
        /// NLL in nats per token; its difference is paired by document.
        public var effect: AgreementMetric.Effect
        /// Benjamini–Hochberg over all arms and groups.
        public var qValue: Double?
    }

    /// A group's own experts against a control, on that group's documents.
    public struct Contrast: Codable, Sendable, Equatable {
        public var target: String
        /// "random", "other-layer" or "other-group".
        public var control: String
        /// Arms averaged over.
        public var arms: Int
        public var documents: Int
        /// nats per token: what the own experts' change costs beyond the control's.
        public var difference: Estimate?
        public var pValue: Double?
        public var qValue: Double?
    }

    /// What one expert is worth to one group: a cell of the expert × group matrix.
    public struct Cell: Codable, Sendable, Equatable {
        public var layer: Int
        public var expert: Int
        public var group: String
        public var documents: Int
        /// nats per token: what its ablation costs; nil where the group has too few documents.
        public var difference: Estimate?
        public var pValue: Double?
        /// As in `effects`.
        public var qValue: Double?
    }

    public var kind: String
    public var settings: MetricSettings
    public var effects: [Effect]
    public var contrasts: [Contrast]
    /// By layer, expert, group ("all" first); empty where no arm ablates a single expert.
    public var matrix: [Cell]

    /// - Parameter groupOf: group of every document.
    public init(
        _ plan: ExperimentPlan, _ likelihoods: ExperimentLikelihoods, groupOf names: [String],
        settings: MetricSettings = MetricSettings()
    ) {
        kind = plan.kind
        self.settings = settings
        let groups = Set(names).sorted()
        let groupOf = names.map { groups.firstIndex(of: $0) ?? 0 }
        func effects(_ first: [Double], _ second: [Double]) -> [AgreementMetric.Effect] {
            var values: [Double] = []
            for i in names.indices { values += [first[i], second[i], Double(likelihoods.tokens[i])] }
            return PairedEffect.effects(values, groups: groups, groupOf: groupOf, settings: settings)
        }
        func nll(_ arm: ExperimentPlan.Arm) -> [Double] { likelihoods.arms[arm.name] ?? likelihoods.baseline }
        func mean(_ arms: [ExperimentPlan.Arm]) -> [Double] {
            let all = arms.map(nll)
            return names.indices.map { i in all.reduce(0) { $0 + $1[i] } / Double(all.count) }
        }
        var found: [Effect] = []
        for arm in plan.arms {
            for effect in effects(likelihoods.baseline, nll(arm)) {
                found.append(Effect(arm: arm.name, role: arm.role, target: arm.target, effect: effect))
            }
        }
        var contrasts: [Contrast] = []
        for own in plan.arms where own.role == .own {
            guard let target = own.target, let place = groups.firstIndex(of: target) else { continue }
            let controls: [(String, [ExperimentPlan.Arm])] = [
                ("random", plan.arms.filter { $0.role == .random && $0.target == target }),
                ("other-layer", plan.arms.filter { $0.role == .otherLayer && $0.target == target }),
                ("other-group", plan.arms.filter { $0.role == .own && $0.target != target }),
            ]
            for (name, arms) in controls where !arms.isEmpty {
                let effect = effects(mean(arms), nll(own))[place + 1]
                contrasts.append(
                    Contrast(
                        target: target, control: name, arms: arms.count, documents: effect.documents,
                        difference: effect.difference, pValue: effect.pValue))
            }
        }
        let tested = found.indices.filter { found[$0].effect.pValue != nil }
        for (index, q) in zip(tested, benjaminiHochberg(tested.compactMap { found[$0].effect.pValue })) {
            found[index].qValue = q
        }
        let contrasted = contrasts.indices.filter { contrasts[$0].pValue != nil }
        for (index, q) in zip(contrasted, benjaminiHochberg(contrasted.compactMap { contrasts[$0].pValue })) {
            contrasts[index].qValue = q
        }
        self.effects = found
        self.contrasts = contrasts
        matrix = plan.arms.flatMap { arm -> [Cell] in
            guard arm.role == .single, arm.changes.count == 1, let cell = arm.changes[0].ablatedExpert else {
                return []
            }
            return found.filter { $0.arm == arm.name }.map {
                Cell(
                    layer: cell.layer, expert: cell.expert, group: $0.effect.group, documents: $0.effect.documents,
                    difference: $0.effect.difference, pValue: $0.effect.pValue, qValue: $0.qValue)
            }
        }
    }

    public var tables: [MetricTable] {
        let group = MetricColumn("group", .text, "group of documents, or all")
        let p = MetricColumn("p_value", .real, "two-sided, signs flipped over documents")
        let q = MetricColumn("q_value", .real, "Benjamini–Hochberg over the rows of this table")
        let documents = MetricColumn("documents", .integer, "documents paired")
        let bounds = [
            MetricColumn(
                "difference", .real, unit: "nats", "NLL per token less the untouched model's, paired by document"),
            MetricColumn("difference_lower", .real, unit: "nats", "lower bound of its interval"),
            MetricColumn("difference_upper", .real, unit: "nats", "upper bound of its interval"),
        ]
        func cells(_ estimate: Estimate?) -> [MetricCell] {
            [estimate?.value, estimate?.lower, estimate?.upper].map { $0.map(MetricCell.real) ?? .missing }
        }
        func cell(_ value: Double?) -> MetricCell { value.map(MetricCell.real) ?? .missing }
        let note = MetricColumn("note", .text, "why a value is missing")
        func remark(_ estimate: Estimate?) -> MetricCell { estimate == nil ? .text("too few documents") : .missing }
        var tables = [
            MetricTable(
                name: "effects", title: "Effect of every change on every group",
                columns: [
                    MetricColumn("arm", .text, "the change"),
                    MetricColumn("role", .text, "own experts, a control, or a single change"),
                    MetricColumn("target", .text, "the group whose experts are meant"), group, documents,
                    MetricColumn("tokens", .integer, "tokens predicted"),
                    MetricColumn("untouched", .real, unit: "nats", "NLL per token of the untouched model"),
                ] + bounds + [p, q, note],
                rows: effects.map {
                    [
                        .text($0.arm), .text($0.role.rawValue), $0.target.map(MetricCell.text) ?? .missing,
                        .text($0.effect.group), .integer($0.effect.documents), .integer($0.effect.tokens),
                        .real($0.effect.first),
                    ] + cells($0.effect.difference) + [
                        cell($0.effect.pValue), cell($0.qValue), remark($0.effect.difference),
                    ]
                })
        ]
        if !contrasts.isEmpty {
            tables.append(
                MetricTable(
                    name: "contrasts", title: "A group's own experts against the controls, on that group's documents",
                    columns: [
                        MetricColumn("target", .text, "the group"),
                        MetricColumn("control", .text, "what it is compared with"),
                        MetricColumn("arms", .integer, "control arms averaged over"), documents,
                    ] + bounds + [p, q, note],
                    rows: contrasts.map {
                        [.text($0.target), .text($0.control), .integer($0.arms), .integer($0.documents)]
                            + cells($0.difference) + [cell($0.pValue), cell($0.qValue), remark($0.difference)]
                    }))
        }
        if !matrix.isEmpty {
            tables.append(
                MetricTable(
                    name: "matrix", title: "What each expert is worth to each group",
                    columns: [
                        MetricColumn("layer", .integer, "layer of the model, from 0"),
                        MetricColumn("expert", .integer, "the expert taken away"), group, documents,
                    ] + bounds + [p, MetricColumn("q_value", .real, "as in the table of effects"), note],
                    rows: matrix.map {
                        [.integer($0.layer), .integer($0.expert), .text($0.group), .integer($0.documents)]
                            + cells($0.difference) + [cell($0.pValue), cell($0.qValue), remark($0.difference)]
                    }))
        }
        return tables
    }
}
