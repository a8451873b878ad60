import Foundation
import RoutingMetrics
import Tensors
import Testing

/// What is observed against what the same documents give by chance: examples that can be done by hand.
@Suite struct ChanceTests {
    @Test func unitSumsByHand() throws {
        let differences = [1.0, 2, 3]
        // Mean 2; residuals over 1 − 1/3 are ±1.5; variance 2/3 · 4.5; t = 6/√3 with two degrees of freedom.
        let test = try #require(ChanceTest(0..<3) { (differences[$0], 1) })
        #expect(isClose(test.error, 3.0.squareRoot()) && isClose(test.freedom, 2))
        #expect(abs(test.pValue - 0.0742) < 0.005)
        // Chance alone would vary by 12.
        let wide = try #require(ChanceTest(0..<3, leastVariance: 12) { (differences[$0], 1) })
        #expect(isClose(wide.error, 12.0.squareRoot()) && wide.pValue > test.pValue)
        // No variance to be seen: one document, documents alike, one unit of several documents.
        #expect(ChanceTest(0..<1) { (differences[$0], 1) } == nil)
        #expect(ChanceTest(0..<3) { _ in (1, 1) } == nil)
        #expect(ChanceTest(0..<3) { ($0 == 0 ? 1 : 0, $0 == 0 ? 1 : 0) } == nil)
        // Of units of very different size, few count.
        let unequal = try #require(ChanceTest(0..<3) { (differences[$0], $0 == 0 ? 100 : 1) })
        #expect(unequal.freedom == 1)
    }

    @Test func holmByHand() {
        let found = holm([0.01, 0.04, 0.03, nil, 0.9])
        #expect(
            zip(found, [0.04, 0.09, 0.09, nil, 0.9]).allSatisfy { isClose($0, $1 ?? -1) || $0 == nil && $1 == nil })
    }

    /// Tokens with choices 0, 0, 1, 1: one order in three of the pairs repeats, so that one of three pairs is expected.
    @Test func repetitionByHand() throws {
        func document(_ choices: [Int]) -> WrittenTrace.Document { .init(sets: [choices.map { [$0] }]) }
        let trace = WrittenTrace(
            experts: 4,
            documents: [
                document([0, 0, 1, 1]), document([0, 1, 0, 1]), document([2]), document([3, 3]), document([0, 0, 2]),
            ])
        try trace.with { input in
            let row = try #require(RepetitionMetric.compute(input).pooled.first)
            // Observed 2 + 0 + 1 + 1 of 9 pairs; expected 1 + 1 + 1 + 2/3. A token alone has no pair.
            #expect(row.pairs == 9 && isClose(row.first?.value, 4.0 / 9))
            let first = try #require(row.firstShuffled)
            #expect(isClose(first.expected, (3 + 2.0 / 3) / 9) && isClose(first.ratio.value, 4 / (3 + 2.0 / 3)))
            #expect(isClose(row.anyShuffled?.expected, first.expected) && first.pValue != nil)
        }
    }

    /// Shared experts of two choices, and of three, against all pairs of tokens.
    @Test(arguments: [2, 3]) func sharedExpertsAgainstAllPairs(slots: Int) throws {
        var generator = SeededGenerator(seed: 5, stream: UInt64(slots))
        let sets = (0..<12).map { _ in (0..<400).map { _ in Process.distinct(slots, of: 9, &generator) } }
        let expected = sets.reduce(0.0) { sum, document in
            var sharing = 0
            for (i, a) in document.enumerated() {
                for b in document[..<i] where !Set(a).isDisjoint(with: b) { sharing += 1 }
            }
            return sum + Double(sharing) / Double(400 * 399 / 2) / 12
        }
        let trace = WrittenTrace(experts: 9, documents: sets.map { .init(sets: [$0]) })
        try trace.with { input in
            let found = try #require(RepetitionMetric.compute(input).pooled.first?.anyShuffled?.expected)
            #expect(isClose(found, expected, slots == 2 ? 1e-9 : 0.01))
        }
    }

    @Test func noVarianceIsNoTest() throws {
        // Every order is the same: as many repetitions as chance gives, and no p-value.
        let alike = WrittenTrace.Document(sets: [[[0], [0], [0]]])
        for documents in [[alike], [alike, alike, alike], [.init(sets: [[[0]]]), .init(sets: [[[1]]])]] {
            try WrittenTrace(experts: 2, documents: documents).with { input in
                let row = try #require(RepetitionMetric.compute(input).pooled.first)
                #expect(row.firstShuffled?.pValue == nil && row.firstShuffled?.adjustedP == nil)
                #expect(row.firstShuffled.map { !$0.isAbove && !$0.isBelow } ?? true)
            }
        }
    }

    /// All tables of four tokens with the load of these: equally likely.
    @Test(arguments: [[[0, 1], [0, 2], [0, 3], [1, 2]], [[0, 1, 2], [0, 1, 3], [2, 3, 4], [0, 3, 4]]])
    func fixedLoadAgainstAllTables(sets: [[Int]]) {
        let (E, K, n) = (5, sets[0].count, sets.count)
        var all: [[Int]] = []
        func choose(_ start: Int, _ chosen: [Int]) {
            guard chosen.count < K else { return all.append(chosen) }
            for e in start..<E { choose(e + 1, chosen + [e]) }
        }
        choose(0, [])
        var load = [Int](repeating: 0, count: E)
        for e in sets.joined() { load[e] += 1 }
        var (together, tables) = ([Double](repeating: 0, count: E * E), 0.0)
        func fill(_ table: [[Int]], _ left: [Int]) {
            if table.count == n {
                guard left.allSatisfy({ $0 == 0 }) else { return }
                tables += 1
                for set in table { for i in set { for j in set where i < j { together[i * E + j] += 1 } } }
                return
            }
            for set in all where set.allSatisfy({ left[$0] > 0 }) {
                var rest = left
                for e in set { rest[e] -= 1 }
                fill(table + [set], rest)
            }
        }
        fill([], load)
        var found = [Double](repeating: 0, count: E * E)
        let draws = 4000
        for draw in 0..<draws {
            var shuffle = FixedLoadShuffle(
                sets.joined().map(UInt16.init), rows: 0..<n, slots: K, experts: E,
                generator: SeededGenerator(seed: 3, stream: UInt64(draw)))
            shuffle.pairs { i, j, weight in found[i * E + j] += weight / Double(draws) }
        }
        for (value, sum) in zip(found, together) { #expect(abs(value - sum / tables) < 0.03) }
    }

    /// Guesses 0, 1 for choices 0, 1 in one document, and 1, 0 in another: half of them hit in a random order.
    @Test func speculationByHand() throws {
        let sets = [[[0], [1]], [[0], [1]]]
        let trace = WrittenTrace(
            experts: 2,
            documents: [
                .init(sets: sets, guesses: [[], [[0], [1]]]), .init(sets: sets, guesses: [[], [[1], [0]]]),
                .init(sets: sets, guesses: [[], [[0], [0]]]), .init(sets: sets, guesses: [[], [[0], [1]]]),
            ])
        try trace.with { input in
            let row = try #require(try SpeculationMetric.compute(input).rows.first { $0.layer == 1 })
            #expect(isClose(row.recall?.value, 5.0 / 8) && isClose(row.shuffled?.expected, 0.5))
            #expect(isClose(row.shuffled?.ratio.value, 1.25) && isClose(row.documentPopular?.value, 0.5))
        }
    }

    /// Two documents of one expert in each layer and another: independent within documents, and not in both together.
    @Test func pathsByHand() throws {
        let trace = WrittenTrace(
            experts: 2,
            documents: [
                .init(sets: [[[0], [0]], [[0], [0]]]), .init(sets: [[[1], [1]], [[1], [1]]]),
                .init(sets: [[[0], [1]], [[0], [1]]]),
            ])
        try trace.with { input in
            let metric = try PathMetric.compute(input)
            let path = try #require(metric.paths.first)
            #expect(path.experts == [0, 0] && path.count == 3)
            // (2 + 0 + 2 · ¼) / 6, against ½ · ½.
            #expect(isClose(path.independent, 2.5 / 6) && isClose(path.pooledIndependent, 0.25))
            #expect(isClose(path.ratio?.value ?? 0, 1.2))
            // Six tokens are fewer than five for each of three pairs.
            #expect(metric.layers[0].information == nil && metric.layers[0].share == nil)
            // Tokens 0, 1 and 0.
            #expect(path.token == 0 && isClose(path.tokenShare, 2.0 / 3) && path.tokenText == nil)
            // By load alone: [[2.5, 0.5], [0.5, 2.5]] / 6.
            let (same, other) = (2.5 / 6, 0.5 / 6)
            #expect(isClose(metric.layers[0].documentChance, 2 * same * log2(4 * same) + 2 * other * log2(4 * other)))
        }
    }
}

/// Choices drawn independently within documents that differ strongly: nothing but chance, or what is planted.
struct Process: Sendable {
    var experts = 8
    var slots = 2
    var documents = 20
    /// Standard deviation of the logarithm of documents' lengths.
    var spread = 0.0
    /// Probability that a token takes the choices of the token before it.
    var persistence = 0.0
    /// Probability that experts 0 and 1 are chosen together.
    var affinity = 0.0
    /// Probability that a guess knows its token.
    var knowledge = 0.0
    static let layers = 3

    func trace(seed: Int) -> WrittenTrace {
        var generator = SeededGenerator(seed: 17, stream: UInt64(seed))
        let common = (0..<experts).map { _ in 0.7 * Double(generator.normal()) }
        return WrittenTrace(
            experts: experts,
            documents: (0..<documents).map { index in
                let tokens = max(1, Int(60 * exp(spread * Double(generator.normal()))))
                var sets: [[[Int]]] = []
                var guesses: [[[Int]]] = []
                for _ in 0..<Self.layers {
                    let weights = common.map { exp($0 + 1.2 * Double(generator.normal())) }
                    var own: [[Int]] = []
                    for _ in 0..<tokens {
                        if let last = own.last, Double(generator.uniform()) < persistence {
                            own.append(last)
                        } else if Double(generator.uniform()) < affinity {
                            own.append(Array(0..<slots))
                        } else {
                            own.append(Self.set(slots, weights, &generator))
                        }
                    }
                    sets.append(own)
                    guesses.append(
                        own.map {
                            Double(generator.uniform()) < knowledge ? $0 : Self.set(slots, weights, &generator)
                        })
                }
                return .init(group: index % 2 == 0 ? "a" : "b", sets: sets, guesses: guesses)
            })
    }

    /// A set with probability proportional to the product of its weights: draws with replacement until all differ.
    static func set(_ slots: Int, _ weights: [Double], _ generator: inout SeededGenerator) -> [Int] {
        let total = weights.reduce(0, +)
        while true {
            let drawn = (0..<slots).map { _ -> Int in
                var place = Double(generator.uniform()) * total
                for (e, weight) in weights.enumerated() {
                    if place < weight { return e }
                    place -= weight
                }
                return weights.count - 1
            }
            if Set(drawn).count == slots { return drawn }
        }
    }

    static func distinct(_ slots: Int, of experts: Int, _ generator: inout SeededGenerator) -> [Int] {
        set(slots, [Double](repeating: 1, count: experts), &generator)
    }
}

/// How often something is claimed where there is nothing, and where there is something.
@Suite struct ChanceCalibrationTests {
    private static let kinds = ["repetition", "co-activation", "speculation"]

    /// Whether each kind claims anything in a trace.
    private static func claims(_ process: Process, seed: Int) throws -> [Bool] {
        let settings = MetricSettings(
            skippedPositions: 0, bootstrap: 0, permutations: 0, minimumDocuments: 2, threads: 1)
        return try process.trace(seed: seed).with(settings) { input in
            let rows = RepetitionMetric.compute(input).rows
            let found: [[ChanceComparison?]] = [
                rows.map(\.firstShuffled) + rows.map(\.anyShuffled),
                process.slots > 1 ? try CoactivationMetric.compute(input).pairs.map(\.chance) : [],
                try SpeculationMetric.compute(input).rows.map(\.shuffled),
            ]
            return found.map { $0.contains { $0.map { $0.isAbove || $0.isBelow } ?? false } }
        }
    }

    private static func rates(_ process: Process, trials: Int) -> [Double] {
        let found = Parallel.rows(trials, width: kinds.count, threads: nil) { trial, results in
            let claims = (try? claims(process, seed: trial)) ?? [true, true, true]
            for (place, claim) in claims.enumerated() { results[place] = claim ? 1 : 0 }
        }
        return kinds.indices.map { kind in
            (0..<trials).reduce(0) { $0 + found[$1 * kinds.count + kind] } / Double(trials)
        }
    }

    @Test(arguments: [
        Process(), Process(spread: 1), Process(experts: 16, slots: 1, documents: 40, spread: 1),
        Process(experts: 8, slots: 4, documents: 40, spread: 0.7), Process(documents: 5, spread: 0.5),
    ])
    func nothingIsClaimedByChance(process: Process) {
        // A rate of 5 % gives more than 12 of 100 once in 650 times. In 200 trials each, at most one claimed anything.
        for (kind, rate) in zip(Self.kinds, Self.rates(process, trials: 100)) {
            print("claims of \(kind) by chance, \(process): \(rate)")
            #expect(rate <= 0.12, "\(kind), \(process)")
        }
    }

    @Test func whatIsPlantedIsFound() {
        let process = Process(documents: 40, spread: 1, persistence: 0.15, affinity: 0.15, knowledge: 0.15)
        for (kind, rate) in zip(Self.kinds, Self.rates(process, trials: 50)) {
            print("claims of what is planted, \(kind): \(rate)")
            #expect(rate > 0.8, "\(kind)")
        }
    }
}
