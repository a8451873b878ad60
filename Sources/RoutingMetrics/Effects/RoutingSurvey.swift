import Foundation

/// How the untouched model routes every group: what a group's own experts are chosen by, and what controls are matched to.
///
/// E experts · K slots per token. First tokens are left out.
public struct RoutingSurvey: Sendable {
    /// One group's tokens in one layer.
    public struct Layer: Sendable {
        /// [E]: tokens that meet the expert, one of their K.
        public var meeting: [Int]
        /// [n, K]: the experts of a sample of tokens, evenly spread.
        public var sets: [UInt16] = []

        public init(experts: Int) { meeting = Array(repeating: 0, count: experts) }
    }

    /// Tokens of a group whose sets are kept in each layer: shares of a set of experts are within 0.016 of the truth 95 % of
    /// the time.
    public static let sampledSets = 4096

    public let experts: Int
    public let expertsPerToken: Int
    /// Tokens of each group.
    public var tokens: [String: Int]
    /// By group, then by the model's number of the layer.
    public var layers: [String: [Int: Layer]]

    public init(experts: Int, expertsPerToken: Int, tokens: [String: Int], layers: [String: [Int: Layer]]) {
        self.experts = experts
        self.expertsPerToken = expertsPerToken
        self.tokens = tokens
        self.layers = layers
    }

    public var groups: [String] { tokens.keys.sorted() }

    /// [E]: the share of a group's tokens that meet each expert; uniform is K/E.
    public func shares(of group: String, layer: Int) -> [Double] {
        let tokens = Double(max(1, tokens[group] ?? 0))
        return layers[group]?[layer]?.meeting.map { Double($0) / tokens } ?? Array(repeating: 0, count: experts)
    }

    /// [E]: how much more a group uses each expert than the others do: the logit of its share of the group's tokens less the
    /// logit of the other groups' mean share. Half a token is added on both sides (Haldane 1956), so that it is finite.
    public func contrasts(of group: String, layer: Int) -> [Double] {
        func smoothed(_ name: String) -> [Double] {
            let tokens = Double(tokens[name] ?? 0)
            return (layers[name]?[layer]?.meeting ?? Array(repeating: 0, count: experts))
                .map { halvedShare(Double($0), of: tokens) }
        }
        let own = smoothed(group)
        let others = groups.filter { $0 != group }.map(smoothed)
        return own.indices.map { expert in
            let elsewhere =
                others.isEmpty ? 0.5 : others.reduce(0) { $0 + $1[expert] } / Double(others.count)
            return logit(own[expert]) - logit(elsewhere)
        }
    }

    /// A group's own experts of a layer: the largest contrasts among the experts that meet at least as many of its tokens as
    /// under uniform load, K/E. Where these are too few, the largest contrasts of the rest follow.
    public func ownExperts(of group: String, layer: Int, count: Int) -> [Int] {
        let contrasts = contrasts(of: group, layer: layer)
        let shares = shares(of: group, layer: layer)
        let least = Double(expertsPerToken) / Double(experts)
        let ranked = shares.indices.sorted {
            let (first, second) = (shares[$0] >= least, shares[$1] >= least)
            return first != second ? first : (contrasts[$0], $1) > (contrasts[$1], $0)
        }
        return Array(ranked.prefix(count))
    }

    /// The share of a group's tokens that meet at least one of these experts.
    public func share(of group: String, layer: Int, meeting experts: [Int]) -> Double {
        guard let sets = layers[group]?[layer]?.sets, !sets.isEmpty else { return 0 }
        let wanted = Set(experts.map { UInt16($0) })
        let tokens = sets.count / expertsPerToken
        let met = (0..<tokens).reduce(0) { met, token in
            met
                + (sets[token * expertsPerToken..<(token + 1) * expertsPerToken].contains(where: wanted.contains)
                    ? 1 : 0)
        }
        return Double(met) / Double(tokens)
    }
}
