/// A sentence that a report may print, with the rule that decides whether it does. `make calibrate` counts how often each is printed
/// where it is false, and from which effect on it is found.
public struct Verdict: Sendable, Equatable {
    public enum Outcome: Sendable, Equatable {
        /// The sentence is printed.
        case found
        /// The sentence is not printed. That is no evidence that there is nothing.
        case notFound
        /// The documents cannot tell, and why.
        case notTestable(String)
    }

    public let rule: Rule
    public let outcome: Outcome

    public var isFound: Bool { outcome == .found }

    /// What is claimed, and when.
    public enum Rule: String, Codable, Sendable, CaseIterable {
        case dependence, specialist, replication
        case withinToken = "within-token"
        case repetition, coactivation, speculation, curve

        /// The claim, in general words.
        public var claim: String {
            switch self {
            case .dependence: "Routing depends on the group."
            case .specialist: "An expert receives more of a group's assignments than of the other groups'."
            case .replication:
                "A group's expert that all other sources of documents choose is the group's own in the last source as well."
            case .withinToken: "The same token is routed differently in different groups."
            case .repetition:
                "Neighbouring tokens have the same first expert more often than a random order of the document's tokens gives."
            case .coactivation: "Two experts are chosen together more, or less, often than each document's load gives."
            case .speculation:
                "Experts guessed layers ahead are right more often than another token's guesses of the same document."
            case .curve: "The divergence of parallel texts forms a U over the layers."
            }
        }

        /// When the claim is made.
        public var criterion: String {
            switch self {
            case .dependence:
                "In some layer some expert's share of assignments differs between a group and the others, with p < 0.05 for all groups, "
                    + "experts and layers together (association, p_adjusted). A layer is named only if its own p_adjusted is below 0.05."
            case .specialist:
                "The share differs with p_adjusted < 0.05 and is larger in the group. Of all such pairs of an expert and a group the one with the largest lower bound of "
                    + "the log odds ratio is named; its intervals hold for all pairs at once (specialists)."
            case .replication:
                "All sources but one choose the expert by the rule above; in the one left out, the same expert's share is larger in the group, with "
                    + "p_adjusted < 0.05; and this for every source left out (specialists-replication)."
            case .withinToken:
                "Among occurrences of the same token ids some expert's share differs between groups, with p < 0.05 for all groups, experts and "
                    + "layers together (within-token, p_adjusted)."
            case .repetition:
                "Over documents, the sum of observed less expected repetitions is above zero, with p < 0.05 for all "
                    + "layers and groups together (repetition, p_adjusted_first)."
            case .coactivation:
                "The same for pairs of experts, against tables of tokens and experts that have each document's load (coactivation, p_adjusted)."
            case .speculation:
                "The same for guesses, against each document's guesses in a random order (speculation, p_adjusted)."
            case .curve:
                "The divergence less that of different texts of one group falls to a minimum that is in neither the first nor the last layer and "
                    + "rises after it; the first and the last layer lie above the minimum, by intervals that hold for all layers at once."
            }
        }
    }

    /// Claims are made where p, adjusted for everything that was tested, is below this.
    public static let level = 0.05

    public static func isFound(_ adjustedP: Double?) -> Bool { adjustedP.map { $0 < level } ?? false }

    init(_ rule: Rule, _ outcome: Outcome) {
        self.rule = rule
        self.outcome = outcome
    }

    init(_ rule: Rule, _ comparisons: [ChanceComparison?], where isFound: (ChanceComparison) -> Bool) {
        let tested = comparisons.compactMap(\.self).filter { $0.adjustedP != nil }
        self.init(
            rule,
            tested.isEmpty
                ? .notTestable("there are too few documents, or they do not differ")
                : tested.contains(where: isFound) ? .found : .notFound)
    }

    /// - Parameter pValues: adjusted for one another; nil: not tested.
    init(_ rule: Rule, anyOf pValues: [Double?], otherwise reason: String) {
        let tested = pValues.compactMap(\.self)
        self.init(
            rule, tested.isEmpty ? .notTestable(reason) : tested.contains(where: Self.isFound) ? .found : .notFound)
    }
}

extension AssociationMetric {
    /// Whether routing depends on the group.
    public var dependence: Verdict {
        Verdict(.dependence, anyOf: layers.map(\.adjustedP), otherwise: "no two groups can be compared")
    }
}

extension SpecialistMetric {
    /// Why no group can be compared, in words.
    private var reason: String {
        notCompared.isEmpty
            ? "no two groups can be compared"
            : notCompared.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; ")
    }

    /// Whether some group has an expert of its own.
    public var specialist: Verdict {
        Verdict(.specialist, detectable == nil ? .notTestable(reason) : rows.isEmpty ? .notFound : .found)
    }

    /// Whether the choice of all other sources holds in every source, for a group.
    public func replication(of group: String) -> Verdict {
        let own = replications.filter { $0.group == group }
        guard !own.isEmpty else { return Verdict(.replication, .notTestable("there are no two sources")) }
        return Verdict(
            .replication, own.allSatisfy { Verdict.isFound($0.adjustedP) && $0.logOdds > 0 } ? .found : .notFound)
    }

    /// The same, for any group.
    package var anyReplication: Verdict {
        let own = Set(replications.map(\.group)).map(replication(of:))
        return own.first(where: \.isFound) ?? own.first ?? replication(of: "")
    }
}

extension WithinTokenMetric {
    /// Whether the same token is routed differently.
    public var withinToken: Verdict {
        Verdict(.withinToken, anyOf: layers.map(\.adjustedP), otherwise: "no two groups can be compared")
    }
}

extension RepetitionMetric {
    /// Whether neighbouring tokens keep their first expert more often than a random order of the document's tokens gives.
    public var repetition: Verdict {
        Verdict(.repetition, pooled.map(\.firstShuffled)) { $0.isAbove }
    }
}

extension CoactivationMetric {
    /// Whether some experts are chosen together more, or less, often than each document's load gives.
    public var coactivation: Verdict { Verdict(.coactivation, pairs.map(\.chance)) { $0.isAbove || $0.isBelow } }
}

extension SpeculationMetric {
    /// Whether experts can be guessed layers ahead better than from another token of the document.
    public var speculation: Verdict { Verdict(.speculation, rows.map(\.shuffled)) { $0.isAbove } }
}

extension ParallelDivergenceMetric {
    /// The course over the layers of the divergence beyond that of different texts of one group.
    public var curve: LayerCurve { LayerCurve(layers.map { ($0.layer, $0.excess) }) }

    /// Whether that course is a U.
    public var isU: Verdict {
        switch curve {
        case .u: Verdict(.curve, .found)
        case .flat, .notU: Verdict(.curve, .notFound)
        case .tooFewLayers: Verdict(.curve, .notTestable("fewer than three layers"))
        case .noIntervals: Verdict(.curve, .notTestable("too few parallel texts for intervals"))
        }
    }
}
