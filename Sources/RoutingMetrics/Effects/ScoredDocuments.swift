/// The documents that an experiment scored, and what it did to them.
struct ScoredDocuments {
    let likelihoods: ExperimentLikelihoods
    /// Each document's group.
    let names: [String]
    let design: SamplingDesign
    let settings: MetricSettings

    init(
        _ likelihoods: ExperimentLikelihoods, names: [String], parallel: [String?], clusters: [String?],
        _ settings: MetricSettings
    ) {
        self.likelihoods = likelihoods
        self.names = names
        self.settings = settings
        let groups = Set(names).sorted()
        let groupOf = names.map { groups.firstIndex(of: $0) ?? 0 }
        design = SamplingDesign(
            group: groupOf, parallel: parallel, cluster: clusters,
            isJudged: groups.indices.map { group in
                groupOf.count { $0 == group } >= max(2, settings.minimumDocuments)
            })
    }

    /// The arm's effect on all documents together and on every group; on its own groups where it does not run over all.
    func effects(_ arm: ExperimentPlan.Arm) -> [ExperimentResult.Effect] {
        let changed = likelihoods.arms[arm.name] ?? likelihoods.baseline
        let load = likelihoods.loads[arm.name]
        let tokens = names.indices.map { changed[$0].isNaN ? 0 : likelihoods.tokens[$0] }
        // What is not scored is no number, and has no tokens.
        let differences = names.indices.map { tokens[$0] > 0 ? changed[$0] - likelihoods.baseline[$0] : 0 }
        let perWeight =
            load.map {
                PairedEffect.perWeight(
                    differences, weights: $0.weight, tokens: tokens, groupOf: names, design: design,
                    settings: settings)
            } ?? [:]
        return PairedEffect.effects(
            first: likelihoods.baseline, second: changed, tokens: tokens, groupOf: names, design: design,
            settings: settings
        ).filter { effect in
            arm.groups.map { $0.contains(effect.group.name ?? "") && !effect.group.isPooled } ?? true
        }.map { effect in
            func perToken(_ values: [Double]?) -> Double? {
                guard let values, effect.tokens > 0 else { return nil }
                return names.indices.reduce(0) { sum, document in
                    let counts = tokens[document] > 0 && (effect.group.name.map { $0 == names[document] } ?? true)
                    return counts ? sum + values[document] : sum
                } / Double(effect.tokens)
            }
            return ExperimentResult.Effect(
                arm: arm.name, role: arm.role, target: arm.target, effect: effect, share: perToken(load?.met),
                weight: perToken(load?.weight), perWeight: perWeight[effect.group])
        }
    }

    /// Each group's own experts against the controls that there are.
    func contrasts(_ plan: ExperimentPlan) -> [ExperimentResult.Contrast] {
        var contrasts: [ExperimentResult.Contrast] = []
        for own in plan.arms where own.role == .own {
            guard let target = own.target, let changed = likelihoods.arms[own.name] else { continue }
            let documents = names.indices.filter { names[$0] == target }
            guard !documents.isEmpty else { continue }
            // Sums of what is resampled as a whole.
            func sums(_ value: (Int) -> Double) -> [Double] { design.sums(documents, value) }
            let tokens = sums { Double(likelihoods.tokens[$0]) }
            func change(_ arm: ExperimentPlan.Arm, _ nll: [Double]) -> ControlContrast.Change {
                .init(
                    difference: sums { nll[$0] - likelihoods.baseline[$0] },
                    weight: likelihoods.loads[arm.name].map { load in sums { load.weight[$0] } })
            }
            func perToken(_ arms: [ExperimentPlan.Arm], _ value: (AblatedLoad) -> [Double]) -> Double? {
                let loads = arms.compactMap { likelihoods.loads[$0.name] }
                guard loads.count == arms.count else { return nil }
                let sum = loads.reduce(0) { sum, load in
                    sum + documents.reduce(0) { $0 + value(load)[$1] }
                }
                return sum / Double(arms.count) / tokens.reduce(0, +)
            }
            let controls: [(String, [ExperimentPlan.Arm])] = [
                ("random", plan.arms.filter { $0.role == .random && $0.target == target }),
                ("other-layer", plan.arms.filter { $0.role == .otherLayer && $0.target == target }),
                ("other-group", plan.arms.filter { $0.role == .own && $0.target != target }),
            ]
            for (place, (name, planned)) in controls.enumerated() {
                let arms = planned.filter { arm in
                    likelihoods.arms[arm.name].map { nll in documents.allSatisfy { !nll[$0].isNaN } } ?? false
                }
                guard !arms.isEmpty else { continue }
                let contrast = ControlContrast(
                    tokens: tokens, own: change(own, changed),
                    controls: arms.map { change($0, likelihoods.arms[$0.name] ?? []) })
                let found = contrast.found(
                    areDrawn: name == "random", settings: settings, stream: UInt64(contrasts.count * 8 + place))
                contrasts.append(
                    ExperimentResult.Contrast(
                        target: target, control: name, arms: arms.count, documents: documents.count,
                        difference: found.difference, pValue: found.pValue, asHarmful: found.asHarmful,
                        ownShare: perToken([own], \.met), controlShare: perToken(arms, \.met),
                        ownWeight: perToken([own], \.weight), controlWeight: perToken(arms, \.weight),
                        ownPerWeight: found.own, controlPerWeight: found.control, perWeight: found.perWeight))
            }
        }
        return contrasts
    }
}
