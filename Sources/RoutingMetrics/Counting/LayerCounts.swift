import Foundation
import Tensors
import Traces

/// What one streaming pass leaves of one layer: sums per document. D documents · E experts · K slots per token ·
/// P = E(E−1)/2 pairs of experts · G groups.
///
/// One thread at a time adds to a layer; different layers are filled at once.
final class LayerCounts: @unchecked Sendable {
    /// The model's number of the layer, and its place among the captured ones.
    let layer: Int
    let layerIndex: Int
    let experts: Int
    let slots: Int

    /// [D, E]: assignments.
    private(set) var assignments: [Double]
    /// [D, E]: tokens whose first choice it is.
    private(set) var firsts: [Double]
    /// [D, E]: sums of router probabilities; empty without router logits.
    private(set) var probabilities: [Double]
    /// [D, `Repetition.count`].
    private(set) var repetitions: [Double]
    /// [D, `Confidence.count`]; empty without router logits.
    private(set) var confidence: [Double]
    /// [D, P] or [G, P]: tokens that chose both experts of a pair.
    private(set) var pairs: [Double]
    /// Whether `pairs` is per document.
    let hasPairsPerDocument: Bool
    /// Whether only experts of neighbouring ranks make a pair.
    let pairsAdjacentRanks: Bool
    /// [G]: a sample of chosen sets, K experts each, evenly spread; for chance levels at K > 2.
    private(set) var setSample: [[UInt16]]

    /// Columns of `repetitions`.
    enum Repetition {
        /// Pairs of neighbouring tokens.
        static let pairs = 0
        /// Pairs with equal first choice.
        static let first = 1
        /// Pairs that share an expert.
        static let any = 2
        /// Pairs that would share an expert in a random order of the document's tokens, on average.
        static let shuffledAny = 3
        static let count = 4
    }

    /// Columns of `confidence`: sums over tokens.
    enum Confidence {
        /// nats
        static let entropy = 0
        /// Probability of choice 1 less that of choice 2.
        static let firstMargin = 1
        /// Probability of choice K less that of choice K+1.
        static let choiceMargin = 2
        static let squaredLogSumExp = 3
        static let tokens = 4
        static let count = 5
    }

    /// Sets of each group kept for chance levels.
    static let sampledSets = 2000

    init(
        layer: Int, layerIndex: Int, layout: TraceLayout, documents: Int, groups: Int, pairsPerDocument: Bool,
        pairsAdjacentRanks: Bool = false
    ) {
        self.layer = layer
        self.layerIndex = layerIndex
        experts = layout.experts
        slots = layout.expertsPerToken
        hasPairsPerDocument = pairsPerDocument
        self.pairsAdjacentRanks = pairsAdjacentRanks
        let table = documents * layout.experts
        assignments = Array(repeating: 0, count: table)
        firsts = Array(repeating: 0, count: table)
        let hasLogits = layout.routerLogits != nil
        probabilities = Array(repeating: 0, count: hasLogits ? table : 0)
        confidence = Array(repeating: 0, count: hasLogits ? documents * Confidence.count : 0)
        repetitions = Array(repeating: 0, count: documents * Repetition.count)
        let pairCount = layout.experts * (layout.experts - 1) / 2
        pairs = Array(repeating: 0, count: (pairsPerDocument ? documents : groups) * pairCount)
        setSample = Array(repeating: [], count: groups)
    }

    /// Place of the pair i < j among all P.
    func pairIndex(_ i: Int, _ j: Int) -> Int { i * (2 * experts - i - 1) / 2 + (j - i - 1) }

    /// Adds a shard's rows.
    /// - Parameters:
    ///   - rowsOf: the counted rows of a document.
    ///   - groupOf: each document's group.
    ///   - sampleStride: one set in so many is kept, for each group.
    ///   - router: turns logits into probabilities.
    func add(
        _ shard: MappedShard, rows rowsOf: (TraceDocument) -> Range<Int>, groupOf: [Int], sampleStride: [Int],
        router: RouterProbabilities
    ) {
        var indices: [UInt16] = []
        shard.readExpertIndices(layerIndex: layerIndex, into: &indices)
        for document in shard.documents {
            let rows = rowsOf(document)
            guard !rows.isEmpty else { continue }
            let group = groupOf[document.index]
            indices.withUnsafeBufferPointer { chosen in
                count(chosen, rows: rows, document: document.index, group: group)
                sample(chosen, rows: rows, group: group, stride: sampleStride[group])
            }
        }
        guard shard.hasRouterLogits else { return }
        var logits: [Float] = []
        shard.readRouterLogits(layerIndex: layerIndex, into: &logits)
        for document in shard.documents {
            logits.withUnsafeBufferPointer {
                addProbabilities($0, rows: rowsOf(document), document: document.index, router)
            }
        }
    }

    private func count(_ chosen: UnsafeBufferPointer<UInt16>, rows: Range<Int>, document: Int, group: Int) {
        let K = slots
        let E = experts
        let table = document * E
        let pairTable = (hasPairsPerDocument ? document : group) * (E * (E - 1) / 2)
        var equalFirst = 0
        var sharing = 0
        assignments.withUnsafeMutableBufferPointer { assignments in
            pairs.withUnsafeMutableBufferPointer { pairs in
                firsts.withUnsafeMutableBufferPointer { firsts in
                    for row in rows {
                        let start = row * K
                        if Int(chosen[start]) < E { firsts[table + Int(chosen[start])] += 1 }
                        for slot in 0..<K {
                            let expert = Int(chosen[start + slot])
                            guard expert < E else { continue }
                            assignments[table + expert] += 1
                            let last = pairsAdjacentRanks ? min(K, slot + 2) : K
                            for later in slot + 1..<max(slot + 1, last) {
                                let other = Int(chosen[start + later])
                                guard other < E, other != expert else { continue }
                                pairs[pairTable + pairIndex(min(expert, other), max(expert, other))] += 1
                            }
                        }
                        guard row > rows.lowerBound else { continue }
                        let before = start - K
                        if chosen[start] == chosen[before], Int(chosen[start]) < E { equalFirst += 1 }
                        var shares = false
                        for slot in 0..<K where Int(chosen[start + slot]) < E {
                            for earlier in 0..<K where chosen[before + earlier] == chosen[start + slot] {
                                shares = true
                            }
                        }
                        if shares { sharing += 1 }
                    }
                }
            }
        }
        let start = document * Repetition.count
        repetitions[start + Repetition.pairs] += Double(rows.count - 1)
        repetitions[start + Repetition.first] += Double(equalFirst)
        repetitions[start + Repetition.any] += Double(sharing)
        repetitions[start + Repetition.shuffledAny] +=
            Double(rows.count - 1) * sharingWhenShuffled(chosen, rows: rows, document: document)
    }

    /// Probability that two different tokens of the document share an expert.
    private func sharingWhenShuffled(_ chosen: UnsafeBufferPointer<UInt16>, rows: Range<Int>, document: Int) -> Double {
        guard rows.count > 1 else { return 0 }
        guard slots <= 2 else { return sharingWhenDrawn(chosen, rows: rows, document: document) }
        // By inclusion and exclusion: tokens that share either of two experts, less those counted twice, which share both.
        var ordered = 0
        for expert in 0..<experts {
            let count = Int(assignments[document * experts + expert])
            ordered += count * (count - 1)
        }
        if slots == 2 {
            var sets = rows.map { row in
                let (a, b) = (Int(chosen[2 * row]), Int(chosen[2 * row + 1]))
                return max(a, b) < experts && a != b ? min(a, b) * experts + max(a, b) : -1
            }
            sets.sort()
            var start = sets.firstIndex { $0 >= 0 } ?? sets.count
            while start < sets.count {
                var end = start
                while end < sets.count, sets[end] == sets[start] { end += 1 }
                ordered -= (end - start) * (end - start - 1)
                start = end
            }
        }
        return Double(ordered) / Double(rows.count * (rows.count - 1))
    }

    /// Tokens that each token is compared with, for `sharingWhenDrawn`.
    private static let drawnPartners = 4

    /// The same for more than two experts a token, where sets are too many to count: every token is compared with some others of
    /// the document, drawn at random. The estimate has no bias, and is the same whenever a trace is counted.
    private func sharingWhenDrawn(_ chosen: UnsafeBufferPointer<UInt16>, rows: Range<Int>, document: Int) -> Double {
        var generator = SeededGenerator(
            seed: 0, document: UInt64(document), position: 0, layer: UInt64(layer))
        var isChosen = [Bool](repeating: false, count: experts)
        var sharing = 0
        for row in rows {
            for slot in row * slots..<(row + 1) * slots where Int(chosen[slot]) < experts {
                isChosen[Int(chosen[slot])] = true
            }
            for _ in 0..<Self.drawnPartners {
                var other = rows.lowerBound + generator.below(rows.count - 1)
                if other >= row { other += 1 }
                let shares = (other * slots..<(other + 1) * slots).contains {
                    Int(chosen[$0]) < experts && isChosen[Int(chosen[$0])]
                }
                if shares { sharing += 1 }
            }
            for slot in row * slots..<(row + 1) * slots where Int(chosen[slot]) < experts {
                isChosen[Int(chosen[slot])] = false
            }
        }
        return Double(sharing) / Double(Self.drawnPartners * rows.count)
    }

    private func sample(_ chosen: UnsafeBufferPointer<UInt16>, rows: Range<Int>, group: Int, stride: Int) {
        guard slots > 2 else { return }
        for row in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: stride) {
            setSample[group].append(contentsOf: chosen[row * slots..<(row + 1) * slots])
        }
    }

    private func addProbabilities(
        _ logits: UnsafeBufferPointer<Float>, rows: Range<Int>, document: Int, _ router: RouterProbabilities
    ) {
        let E = experts
        let K = slots
        var sums = [Double](repeating: 0, count: Confidence.count)
        probabilities.withUnsafeMutableBufferPointer { all in
            let target = UnsafeMutableBufferPointer(rebasing: all[document * E..<(document + 1) * E])
            withUnsafeTemporaryAllocation(of: Double.self, capacity: E) { p in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: K + 1) { top in
                    p.initialize(repeating: 0)
                    for row in rows {
                        let found = router.fill(
                            p, from: UnsafeBufferPointer(rebasing: logits[row * E..<(row + 1) * E]))
                        top.initialize(repeating: 0)
                        for e in 0..<E {
                            let share = p[e]
                            target[e] += share
                            // The K+1 largest, by insertion.
                            var place = K
                            guard share > top[place] else { continue }
                            while place > 0, share > top[place - 1] {
                                top[place] = top[place - 1]
                                place -= 1
                            }
                            top[place] = share
                        }
                        sums[Confidence.entropy] += found.entropy
                        sums[Confidence.firstMargin] += E > 1 ? top[0] - top[1] : 0
                        sums[Confidence.choiceMargin] += K < E ? top[K - 1] - top[K] : 0
                        sums[Confidence.squaredLogSumExp] += found.logSumExp * found.logSumExp
                    }
                }
            }
        }
        sums[Confidence.tokens] = Double(rows.count)
        for column in 0..<Confidence.count { confidence[document * Confidence.count + column] += sums[column] }
    }
}
