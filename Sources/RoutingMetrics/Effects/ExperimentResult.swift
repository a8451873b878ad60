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
        /// The share of the group's tokens that met an ablated expert in the untouched model, mean over the layers changed; nil
        /// where the arm does anything else than ablate.
        public var share: Double?
        /// Mixing weight per token that went to the ablated experts, summed over the layers.
        public var weight: Double?
        /// nats per unit of routed weight.
        public var perWeight: Estimate?
    }

    /// A group's own experts against a control, on that group's documents.
    public struct Contrast: Codable, Sendable, Equatable {
        public var target: String
        /// "random", "other-layer" or "other-group".
        public var control: String
        /// Arms averaged over.
        public var arms: Int
        public var documents: Int
        /// nats per token: what the own experts' change costs beyond the control's. For random controls, the draws vary in the
        /// interval and the p-value as documents do.
        public var difference: Estimate?
        public var pValue: Double?
        public var qValue: Double?
        /// Control arms that cost as much as the own experts' change, or more.
        public var asHarmful: Int?
        /// As in `Effect`: of the own experts, and the mean of the control arms.
        public var ownShare: Double?
        public var controlShare: Double?
        public var ownWeight: Double?
        public var controlWeight: Double?
        /// nats per unit of routed weight: of the own experts, of the control arms together, and the first less the second.
        public var ownPerWeight: Estimate?
        public var controlPerWeight: Estimate?
        public var perWeight: Estimate?
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
        public var weight: Double?
        public var perWeight: Estimate?
    }

    /// Ids of the documents that chose the experts, and of those that were scored.
    public struct Documents: Codable, Sendable, Equatable {
        public var choosing: [String]
        public var scored: [String]
    }

    /// How the values are written. Version 1 had no such field, and wrote the pooled row as a group called "all". Version 2 scored
    /// the documents that had chosen the experts, drew as many random experts as there were own ones whatever their load, and
    /// knows of no shares, no weights and no draws' variance. Version 3 has `documents` and all fields.
    public var version: Int
    public var kind: String
    public var settings: MetricSettings
    public var effects: [Effect]
    public var contrasts: [Contrast]
    /// By layer, expert, group (the pooled row first); empty where no arm ablates a single expert.
    public var matrix: [Cell]
    /// nil where nothing was chosen by documents, and for results of version 2.
    public var documents: Documents?

    /// - Parameters:
    ///   - names: each document's group.
    ///   - ids: each document's id.
    ///   - parallel: what documents of the same text share; nil: nothing.
    ///   - clusters: what documents of the same source share; nil: nothing.
    public init(
        _ plan: ExperimentPlan, _ likelihoods: ExperimentLikelihoods, groupOf names: [String], ids: [String]? = nil,
        parallel: [String?]? = nil, clusters: [String?]? = nil, settings: MetricSettings = MetricSettings()
    ) {
        version = 3
        kind = plan.kind
        self.settings = settings
        documents = plan.split.map { split in
            func named(_ documents: [Int]) -> [String] { documents.map { ids?[$0] ?? "\($0)" } }
            return Documents(choosing: named(split.choosing), scored: named(split.scored))
        }
        let kept = likelihoods.tokens.indices.filter { likelihoods.tokens[$0] > 0 }
        let scored = ScoredDocuments(
            likelihoods.restricted(to: kept), names: kept.map { names[$0] },
            parallel: kept.map { parallel?[$0] }, clusters: kept.map { clusters?[$0] }, settings)
        var found: [Effect] = plan.arms.flatMap(scored.effects)
        var contrasts = scored.contrasts(plan)
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
                    qValue: $0.qValue, weight: $0.weight, perWeight: $0.perWeight)
            }
        }
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let written = try fields.decodeIfPresent(Int.self, forKey: .version) ?? 1
        version = written == 1 ? 2 : written
        kind = try fields.decode(String.self, forKey: .kind)
        settings = try fields.decode(MetricSettings.self, forKey: .settings)
        effects = try fields.decode([Effect].self, forKey: .effects)
        contrasts = try fields.decode([Contrast].self, forKey: .contrasts)
        matrix = try fields.decode([Cell].self, forKey: .matrix)
        documents = try fields.decodeIfPresent(Documents.self, forKey: .documents)
        guard written == 1 else { return }
        for index in effects.indices where effects[index].effect.group == .group("all") {
            effects[index].effect.group = .pooled
        }
        for index in matrix.indices where matrix[index].group == .group("all") { matrix[index].group = .pooled }
    }

    /// Whether the random controls were drawn to carry the own experts' load.
    public var hasMatchedControls: Bool {
        kind == "ablation" && documents != nil
            && contrasts.contains { $0.control == "random" && $0.ownShare != nil && $0.controlShare != nil }
    }

    /// The documents paired, and the tokens that they predict.
    public var size: (documents: Int, tokens: Int) {
        let pooled = effects.first { $0.effect.group.isPooled }?.effect
        return (pooled?.documents ?? 0, pooled?.tokens ?? 0)
    }
}
