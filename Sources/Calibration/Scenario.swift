/// A process that traces are drawn from: how documents, sources and groups differ, and what is planted.
///
/// Logits of an expert are a base, what the group, its cluster, the text (topic) and the document add, what the token adds, and noise
/// of each token; the K largest are chosen. Unless something is planted, groups have the same distribution of means.
package struct Scenario: Sendable {
    package struct Group: Sendable {
        var documents = 15
        /// Standard deviation of what a document adds to each logit.
        var dispersion = 0.5
        /// Median length in tokens; lengths are lognormal.
        var length = 40.0
        /// Standard deviation of the lengths' logarithm.
        var lengthSpread = 0.0
    }

    /// What is put into the traces for a sentence to find.
    package enum Planted: String, Sendable {
        case nothing
        /// Added to expert 0 of layer 0 in the first group.
        case expert
        /// The same in every layer but the middle ones: all of it in the first and the last, and less towards the middle.
        case course
        /// The share of tokens that keep the noise of the token before them, in layer 0.
        case persistence
        /// The correlation of two experts' noise in layer 0.
        case pair
        /// The share of tokens whose guesses are made from their own logits.
        case guesses
        /// Groups have other tokens, and tokens are routed alike: routing depends on the group, the same token's does not.
        case spelling
    }

    package let name: String
    package let about: String
    var groups = [Group](repeating: .init(), count: 3)
    var layers = 2
    var experts = 8
    var slots = 2
    /// Clusters in each group, each with documents of that group only; 0: none.
    var clusters = 0
    var clusterSpread = 0.0
    var areClustersUnequal = false
    /// Whether every cluster has documents of all groups.
    var areClustersShared = false
    /// What the first of shared clusters adds to each group apart.
    var interactionSpread = 0.0
    /// Texts are in all groups at once.
    var isParallel = false
    var topicSpread = 0.0
    /// Whether experts differ in load, and tokens in what they add. Where they do not, all experts have the same share whatever documents
    /// add: groups of different dispersion then differ in nothing else.
    var isUneven = true
    package var planted = Planted.nothing
    /// Size of what is planted.
    package var effect = 0.0

    init(_ name: String, _ about: String, _ change: (inout Scenario) -> Void = { _ in }) {
        self.name = name
        self.about = about
        change(&self)
    }

    /// Nothing is planted: whatever a sentence says here is false, but for `spelling`, where groups do differ.
    package static let nulls: [Scenario] = [
        Scenario("iid", "documents differ from each other, groups do not"),
        Scenario("parallel topics", "a text's topic moves all its translations together") {
            $0.isParallel = true
            $0.topicSpread = 0.7
            $0.groups = .init(repeating: .init(documents: 20, dispersion: 0.3), count: 3)
        },
        Scenario("parallel topics, 6 layers", "the same with a course over the layers") {
            $0.isParallel = true
            $0.topicSpread = 0.7
            $0.groups = .init(repeating: .init(documents: 20, dispersion: 0.3), count: 2)
            $0.layers = 6
        },
        Scenario("topics by document", "documents differ strongly") {
            $0.groups = .init(repeating: .init(dispersion: 1.5), count: 3)
        },
        Scenario("clusters nested in groups", "eight sources in each group, whose documents resemble each other") {
            $0.groups = .init(repeating: .init(documents: 40, dispersion: 0.3), count: 3)
            $0.clusters = 8
            $0.clusterSpread = 0.7
        },
        Scenario("three clusters per group", "too few sources to tell them from the group") {
            $0.groups = .init(repeating: .init(documents: 24, dispersion: 0.3), count: 3)
            $0.clusters = 3
            $0.clusterSpread = 0.7
        },
        Scenario("clusters of unequal size", "eight sources, the largest with a third of a group's documents") {
            $0.groups = .init(repeating: .init(documents: 40, dispersion: 0.3), count: 3)
            $0.clusters = 8
            $0.clusterSpread = 0.7
            $0.areClustersUnequal = true
        },
        Scenario("two sources in every group", "each source has documents of all groups, and resembles itself") {
            $0.groups = .init(repeating: .init(documents: 30, dispersion: 0.3), count: 3)
            $0.clusters = 2
            $0.clusterSpread = 0.7
            $0.areClustersShared = true
        },
        Scenario("different in one source only", "groups differ in the first of two sources, and not in the second") {
            $0.groups = .init(repeating: .init(documents: 30, dispersion: 0.3), count: 3)
            $0.clusters = 2
            $0.areClustersShared = true
            $0.interactionSpread = 0.7
        },
        Scenario("unequal dispersion", "one group's documents differ strongly, the others' hardly") {
            $0.groups = [.init(dispersion: 1.5), .init(dispersion: 0.1), .init(dispersion: 0.1)]
            $0.isUneven = false
        },
        Scenario("8 mixed against 75 alike", "few documents that differ strongly against many that do not") {
            $0.groups = [.init(documents: 8, dispersion: 2), .init(documents: 75, dispersion: 0.1)]
            $0.isUneven = false
        },
        Scenario("unequal sizes and lengths", "8 long documents, 60 short ones; lognormal lengths") {
            $0.groups = [
                .init(documents: 8, length: 90, lengthSpread: 1), .init(documents: 60, length: 25, lengthSpread: 1),
                .init(documents: 20, lengthSpread: 1),
            ]
        },
        Scenario("5 documents per group", "the fewest that are compared") {
            $0.groups = .init(repeating: .init(documents: 5), count: 3)
        },
        Scenario("5 documents per group, lognormal", "the fewest, of very different lengths") {
            $0.groups = .init(repeating: .init(documents: 5, lengthSpread: 1), count: 3)
        },
        Scenario("independent tokens", "documents do not differ") {
            $0.groups = .init(repeating: .init(dispersion: 0), count: 3)
        },
        Scenario("K = 1", "one expert per token") { $0.slots = 1 },
        Scenario("K = 8 of 128", "many experts, eight per token") {
            $0.slots = 8
            $0.experts = 128
        },
        Scenario("six groups, 5 layers", "more that can be found") {
            $0.groups = .init(repeating: .init(documents: 10), count: 6)
            $0.layers = 5
        },
        Scenario("spelling", "groups have other tokens, tokens are routed alike") { $0.planted = .spelling },
    ]

    /// Whether a sentence is false in the traces of this process.
    package func isFalse(_ sentence: Sentence) -> Bool {
        switch sentence {
        // Tokens that prefer the same experts make these go together.
        case .coactivation: !isUneven && planted == .nothing
        // In one of the sources groups do differ.
        case .dependence, .specialist: planted == .nothing && interactionSpread == 0
        case .replication: planted == .nothing
        case .withinToken, .curve: (planted == .nothing || planted == .spelling) && interactionSpread == 0
        case .repetition, .speculation: planted == .nothing || planted == .spelling
        }
    }

    /// Whether what is planted is what a sentence is about.
    package func isFound(by sentence: Sentence) -> Bool {
        switch sentence {
        case .dependence, .specialist, .withinToken: planted == .expert && clusters == 0
        case .replication: planted == .expert && clusters > 0
        case .repetition: planted == .persistence
        case .coactivation: planted == .pair
        case .speculation: planted == .guesses
        case .curve: planted == .course
        }
    }

    /// Documents of each group, the first group's where they differ; of each source of theirs, where groups share sources.
    package var documentsPerSource: Int {
        (groups.first?.documents ?? 0) / (areClustersShared ? max(1, clusters) : 1)
    }

    /// An expert that takes nearly all of one group's tokens, among 6,144 cells.
    package static let oneExpertOfManyCells = Scenario(
        "one expert of many cells", "one of 64 experts in one of 16 layers"
    ) {
        $0.groups = .init(repeating: .init(documents: 8), count: 6)
        $0.layers = 16
        $0.experts = 64
        $0.planted = .expert
        $0.effect = 6
    }

    /// Something planted, in several sizes.
    package static let powerStudies: [Scenario] = [5, 15, 80].flatMap { documents -> [Scenario] in
        let logits = [0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 2.4]
        let shares = [0.025, 0.05, 0.1, 0.2, 0.4]
        let kinds: [[Scenario]] = [
            studies("expert", "added to the logit of one expert in one group", .expert, documents, logits),
            studies(
                "expert in two sources", "added to the logit of one expert in one group, in both of two sources",
                .expert, documents, logits
            ) {
                // In each of them as many as the name says.
                $0.groups = .init(repeating: .init(documents: 2 * documents), count: 3)
                $0.clusters = 2
                $0.clusterSpread = 0.7
                $0.areClustersShared = true
            },
            studies(
                "persistence", "share of tokens that keep the noise of the one before", .persistence, documents, shares),
            studies(
                "pair", "correlation of the noise of two experts' logits", .pair, documents, [0.05, 0.1, 0.2, 0.4, 0.8]
            ) { $0.isUneven = false },
            studies(
                "guesses", "share of tokens whose guesses are made from their own logits", .guesses, documents, shares),
            studies(
                "course", "added to the logit of one expert in one group in the first and the last of six layers",
                .course,
                documents, [0.8, 1.6, 2.4, 3.2]
            ) {
                $0.groups = .init(repeating: .init(documents: documents), count: 2)
                $0.isParallel = true
                $0.layers = 6
            },
        ]
        return kinds.flatMap(\.self)
    }

    private static func studies(
        _ name: String, _ about: String, _ planted: Planted, _ documents: Int, _ effects: [Double],
        _ change: (inout Scenario) -> Void = { _ in }
    ) -> [Scenario] {
        effects.map { effect in
            Scenario("\(name) \(effect), \(documents) documents", about) {
                $0.groups = .init(repeating: .init(documents: documents), count: 3)
                $0.planted = planted
                $0.effect = effect
                change(&$0)
            }
        }
    }
}
