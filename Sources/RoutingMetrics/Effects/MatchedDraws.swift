import Tensors

/// Controls that carry the load of what is ablated: random sets of other experts that meet the same share of a group's tokens.
///
/// One expert takes most of a language's tokens, a random other few of them; what its loss costs is then mostly what losing an
/// expert costs. What is matched is the share of the group's tokens that meet at least one expert of the set, in every layer by
/// itself. Routed weight cannot be matched: an expert with more than half of it has as much as all the others together.
public struct MatchedDraws: Sendable {
    /// How much farther than the nearest set of its layer a set may be from the share that it is to have.
    public static let tolerance = 0.05
    /// Random orders of the experts from which sets of a layer are built.
    static let orders = 256

    /// One control: a set of experts for every layer.
    public struct Draw: Sendable, Equatable {
        /// [layers]: experts, rising.
        public var experts: [[Int]]
        /// Share of the group's tokens that meet one of them, mean over the layers.
        public var share: Double
    }

    /// No two alike; fewer than were asked for where there are not so many.
    public let draws: [Draw]
    /// The share of the group's tokens that meet its own experts, mean over the layers.
    public let target: Double

    /// - Parameters:
    ///   - own: [layers]: the experts that are ablated, and that no control holds.
    ///   - layers: the model's numbers of the layers.
    public init(
        _ survey: RoutingSurvey, group: String, own: [[Int]], layers: [Int], count: Int, seed: UInt64
    ) {
        var numbers = SeededGenerator(seed: seed)
        let targets = zip(own, layers).map { survey.share(of: group, layer: $1, meeting: $0) }
        let sets = zip(own, layers).enumerated().map { place, layer in
            LayerSets(survey, group: group, own: layer.0, layer: layer.1, target: targets[place], &numbers)
        }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
        target = mean(targets)
        var found: [Draw] = []
        var seen = Set<[[Int]]>()
        guard !sets.isEmpty, sets.allSatisfy({ !$0.byOrder.isEmpty }) else {
            draws = []
            return
        }
        while found.count < count {
            // Of several draws the one that is nearest over all layers: what one layer has too much, another has too little.
            var best: Draw?
            for attempt in 0..<256 where attempt < 16 || best == nil {
                let drawn = sets.map { $0.draw(&numbers) }
                let draw = Draw(experts: drawn.map(\.experts), share: mean(drawn.map(\.share)))
                guard !seen.contains(draw.experts) else { continue }
                if abs(draw.share - target) < abs((best?.share ?? .infinity) - target) { best = draw }
            }
            guard let best else { break }
            seen.insert(best.experts)
            found.append(best)
        }
        draws = found
    }
}

/// Sets of one layer whose share is near a target.
private struct LayerSets {
    struct Candidate: Hashable {
        /// Rising.
        var experts: [Int]
        var share: Double
    }

    /// The sets that each random order of the experts gave: the nearest, and those within the tolerance of it.
    let byOrder: [[Candidate]]

    init(
        _ survey: RoutingSurvey, group: String, own: [Int], layer: Int, target: Double,
        _ numbers: inout SeededGenerator
    ) {
        let K = survey.expertsPerToken
        let sets = survey.layers[group]?[layer]?.sets ?? []
        let tokens = sets.count / K
        var tokensOf = [[Int]](repeating: [], count: survey.experts)
        for (place, expert) in sets.enumerated() where Int(expert) < survey.experts {
            tokensOf[Int(expert)].append(place / K)
        }
        let others = (0..<survey.experts).filter { !own.contains($0) }
        var visited: [[Candidate]] = []
        for _ in 0..<MatchedDraws.orders {
            var order = others
            numbers.shuffle(&order)
            var covered = [Bool](repeating: false, count: tokens)
            var count = 0
            var chosen: [Int] = []
            var candidates: [Candidate] = []
            for expert in order {
                let added = tokensOf[expert].filter { !covered[$0] }
                let share = Double(count + added.count) / Double(max(1, tokens))
                candidates.append(Candidate(experts: (chosen + [expert]).sorted(), share: share))
                // One that overshoots is left out; smaller ones may still fit.
                guard share <= target + MatchedDraws.tolerance else { continue }
                chosen.append(expert)
                count += added.count
                for token in added { covered[token] = true }
            }
            visited.append(candidates)
        }
        let nearest = visited.joined().map { abs($0.share - target) }.min() ?? 0
        let limit = nearest + MatchedDraws.tolerance
        byOrder = visited.map { $0.filter { abs($0.share - target) <= limit } }.filter { !$0.isEmpty }
    }

    func draw(_ numbers: inout SeededGenerator) -> Candidate {
        let candidates = byOrder[numbers.below(byOrder.count)]
        return candidates[numbers.below(candidates.count)]
    }
}
