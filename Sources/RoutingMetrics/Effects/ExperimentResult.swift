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
        public var group: GroupKey
        public var documents: Int
        /// nats per token: what its ablation costs; nil where the group has too few documents.
        public var difference: Estimate?
        public var pValue: Double?
        /// As in `effects`.
        public var qValue: Double?
    }

    /// How the values are written. Version 1 had no such field, and wrote the pooled row as a group called "all".
    public var version: Int
    public var kind: String
    public var settings: MetricSettings
    public var effects: [Effect]
    public var contrasts: [Contrast]
    /// By layer, expert, group (the pooled row first); empty where no arm ablates a single expert.
    public var matrix: [Cell]

    /// - Parameter names: each document's group.
    public init(
        _ plan: ExperimentPlan, _ likelihoods: ExperimentLikelihoods, groupOf names: [String],
        settings: MetricSettings = MetricSettings()
    ) {
        version = 2
        kind = plan.kind
        self.settings = settings
        func effects(_ first: [Double], _ second: [Double]) -> [AgreementMetric.Effect] {
            PairedEffect.effects(
                first: first, second: second, tokens: likelihoods.tokens, groupOf: names, settings: settings)
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
        let present = Set(names)
        var contrasts: [Contrast] = []
        for own in plan.arms where own.role == .own {
            guard let target = own.target, present.contains(target) else { continue }
            let controls: [(String, [ExperimentPlan.Arm])] = [
                ("random", plan.arms.filter { $0.role == .random && $0.target == target }),
                ("other-layer", plan.arms.filter { $0.role == .otherLayer && $0.target == target }),
                ("other-group", plan.arms.filter { $0.role == .own && $0.target != target }),
            ]
            for (name, arms) in controls where !arms.isEmpty {
                guard let effect = effects(mean(arms), nll(own)).first(where: { $0.group == .group(target) }) else {
                    continue
                }
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
            guard arm.role == .single, let ablated = arm.ablated else { return [] }
            return found.filter { $0.arm == arm.name }.map {
                Cell(
                    layer: ablated.layer, expert: ablated.expert, group: $0.effect.group,
                    documents: $0.effect.documents, difference: $0.effect.difference, pValue: $0.effect.pValue,
                    qValue: $0.qValue)
            }
        }
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let written = try fields.decodeIfPresent(Int.self, forKey: .version) ?? 1
        version = 2
        kind = try fields.decode(String.self, forKey: .kind)
        settings = try fields.decode(MetricSettings.self, forKey: .settings)
        effects = try fields.decode([Effect].self, forKey: .effects)
        contrasts = try fields.decode([Contrast].self, forKey: .contrasts)
        matrix = try fields.decode([Cell].self, forKey: .matrix)
        guard written == 1 else { return }
        for index in effects.indices where effects[index].effect.group == .group("all") {
            effects[index].effect.group = .pooled
        }
        for index in matrix.indices where matrix[index].group == .group("all") { matrix[index].group = .pooled }
    }

    /// The documents paired, and the tokens that they predict.
    public var size: (documents: Int, tokens: Int) {
        let pooled = effects.first { $0.effect.group.isPooled }?.effect
        return (pooled?.documents ?? 0, pooled?.tokens ?? 0)
    }
}
