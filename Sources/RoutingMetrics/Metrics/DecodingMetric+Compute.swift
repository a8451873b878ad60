import Foundation
import Tensors
import Traces

extension DecodingMetric {
    /// Reads the shards twice: to choose β on some tokens, and to score all. Memory is that of the models and of sums per document.
    /// - Throws: where fewer than two groups have enough documents, or documents of more than one unit.
    public static func compute(_ input: MetricInput) throws(MetricError) -> DecodingMetric {
        try input.knownDecoding.value { () throws(MetricError) in try decode(input) }
    }

    private static func decode(_ input: MetricInput) throws(MetricError) -> DecodingMetric {
        let (plan, notes) = try DecodingPlan.make(input)
        let decoders = input.layers.map { LayerDecoder($0, plan) }
        Parallel.forEach(decoders.count, threads: input.settings.threads) { decoders[$0].fit() }
        try input.forEachShard(definition.name) { shard in
            Parallel.forEach(decoders.count, threads: input.settings.threads) { decoders[$0].calibrate(shard) }
        }
        for decoder in decoders { decoder.choose() }
        try input.forEachShard(definition.name) { shard in
            Parallel.forEach(decoders.count, threads: input.settings.threads) { decoders[$0].score(shard) }
        }
        let documents = plan.isScored.count { $0 }
        return DecodingMetric(
            sample: input.sample, groups: plan.groups.map { input.groups[$0] },
            layers: decoders.map { $0.summary(input, documents: documents, notes: notes) })
    }
}

/// Who is scored by whom: the same for all layers.
struct DecodingPlan: Sendable {
    /// As places in `MetricInput.groups`.
    let groups: [Int]
    /// The place of each document's group among `groups`; -1: left out.
    let groupOf: [Int]
    /// The fold of each document; -1: left out.
    let fold: [Int]
    let foldCount: Int
    /// Of each document: whether its tokens are scored.
    let isScored: [Bool]
    /// [G]: shares of the tokens scored.
    let prior: [Double]
    /// β is chosen on one token in so many.
    let stride: Int
    let rows: @Sendable (TraceDocument) -> Range<Int>

    static func make(_ input: MetricInput) throws(MetricError) -> (plan: DecodingPlan, notes: [String]) {
        let name = DecodingMetric.definition.name
        var groups = try input.groupsToCompare(name)
        var notes: [String] = []
        func places() -> [Int] {
            input.groupOf.indices.map { input.tokens[$0] > 0 ? groups.firstIndex(of: input.groupOf[$0]) ?? -1 : -1 }
        }
        func deal() -> DecodingFolds {
            DecodingFolds(
                unit: input.design.unit, group: places(), groups: groups.count, seed: input.settings.seed)
        }
        var folds = deal()
        let single = groups.indices.filter { folds.units[$0] < 2 }
        if !single.isEmpty {
            let names = single.map { input.groups[groups[$0]] }.joined(separator: ", ")
            notes.append("left out, since all documents are of one cluster: \(names)")
            groups = groups.indices.filter { !single.contains($0) }.map { groups[$0] }
            guard groups.count > 1 else {
                throw MetricError(
                    name, "the documents of \(names) are of one cluster each: nothing is left to hold out",
                    hint: "trace documents of further clusters")
            }
            folds = deal()
        }
        let confounded = input.confounded
        for group in groups { if let reason = confounded[group] { notes.append("\(input.groups[group]): \(reason)") } }
        let groupOf = places()
        var tokens = 0
        for document in groupOf.indices where groupOf[document] >= 0 { tokens += input.tokens[document] }
        let every = max(1, (tokens + DecodingMetric.tokenBudget - 1) / DecodingMetric.tokenBudget)
        let chosen = input.everyNth(every)
        let isScored = groupOf.indices.map { groupOf[$0] >= 0 && chosen[$0] }
        if every > 1 { notes.append("one document in \(every) is scored") }
        var perGroup = [Double](repeating: 0, count: groups.count)
        for document in groupOf.indices where isScored[document] {
            perGroup[groupOf[document]] += Double(input.tokens[document])
        }
        let total = perGroup.reduce(0, +)
        let settings = input.settings
        let plan = DecodingPlan(
            groups: groups, groupOf: groupOf, fold: folds.fold, foldCount: folds.count, isScored: isScored,
            prior: perGroup.map { $0 / total },
            stride: max(
                1, Int(total) / DecodingMetric.calibrationTokens,
                Int(total) * groups.count * input.layers.count / DecodingMetric.calibrationWork),
            rows: { settings.rows($0) })
        return (plan, notes)
    }
}

/// The models of one layer, and what they gave. One thread at a time works on a layer.
///
/// G groups · F folds · W lengths of windows.
private final class LayerDecoder: @unchecked Sendable {
    private let layer: LayerCounts
    private let plan: DecodingPlan
    private let groups: Int
    /// [F]: fitted on all folds but one.
    private var models: [ExpertSetModel] = []
    /// [F, F]: fitted on all folds but two; empty where there are fewer than three.
    private var pairs: [ExpertSetModel] = []
    /// [F, values of β]: log-likelihood of the other folds' tokens.
    private var likelihoods: [Double]
    private var exponents: [Double]
    private var seen = 0
    /// [D, 2 + 2W]: bits gained, tokens, windows that are told, windows.
    private var values: [Double]
    private let columns: Int

    init(_ layer: LayerCounts, _ plan: DecodingPlan) {
        self.layer = layer
        self.plan = plan
        groups = plan.groups.count
        likelihoods = [Double](repeating: 0, count: plan.foldCount * DecodingMetric.exponents.count)
        exponents = [Double](repeating: 1, count: plan.foldCount)
        columns = 2 + 2 * DecodingMetric.windowLengths.count
        values = [Double](repeating: 0, count: plan.groupOf.count * columns)
    }

    func fit() {
        let E = layer.experts
        let F = plan.foldCount
        let size = groups * E
        var byFold = [Double](repeating: 0, count: F * size)
        for (document, fold) in plan.fold.enumerated() where fold >= 0 {
            let start = fold * size + plan.groupOf[document] * E
            for e in 0..<E { byFold[start + e] += layer.assignments[document * E + e] }
        }
        func model(without left: Set<Int>) -> ExpertSetModel {
            var counts = [Double](repeating: 0, count: size)
            for fold in 0..<F where !left.contains(fold) {
                for place in 0..<size { counts[place] += byFold[fold * size + place] }
            }
            return ExpertSetModel(counts, groups: groups, experts: E, slots: layer.slots)
        }
        models = (0..<F).map { model(without: [$0]) }
        guard F > 2 else { return }
        pairs = models.flatMap { Array(repeating: $0, count: F) }
        for a in 0..<F {
            for b in a + 1..<F {
                let both = model(without: [a, b])
                pairs[a * F + b] = both
                pairs[b * F + a] = both
            }
        }
    }

    /// Scores some tokens of each fold by models that know neither that fold nor another, to choose the other's β.
    func calibrate(_ shard: MappedShard) {
        let F = plan.foldCount
        guard F > 2 else { return }
        let exponents = DecodingMetric.exponents
        let K = layer.slots
        let prior = plan.prior.map { log($0) }
        withChosen(shard) { document, rows, chosen, scores in
            let group = plan.groupOf[document]
            let own = plan.fold[document]
            for row in rows {
                seen += 1
                guard (seen - 1) % plan.stride == 0 else { continue }
                let set = UnsafeBufferPointer(rebasing: chosen[row * K..<(row + 1) * K])
                for fold in 0..<F where fold != own {
                    pairs[fold * F + own].fill(scores, chosen: set)
                    for (place, exponent) in exponents.enumerated() {
                        likelihoods[fold * exponents.count + place] +=
                            Self.posterior(scores, prior, exponent, group)
                    }
                }
            }
        }
    }

    func choose() {
        guard plan.foldCount > 2 else { return }
        let count = DecodingMetric.exponents.count
        for fold in 0..<plan.foldCount {
            let own = likelihoods[fold * count..<(fold + 1) * count]
            // Of equal ones the smallest: what tells nothing has β = 0.
            let best = own.indices.max { (own[$0], $1) < (own[$1], $0) } ?? own.startIndex
            exponents[fold] = DecodingMetric.exponents[best - own.startIndex]
        }
    }

    /// Scores every token by the model of its fold.
    func score(_ shard: MappedShard) {
        let K = layer.slots
        let lengths = DecodingMetric.windowLengths
        let W = lengths.count
        let G = groups
        let prior = plan.prior.map { log($0) }
        // Sums over the tokens of each window under way: [W, G].
        var sums = [Double](repeating: 0, count: W * G)
        withChosen(shard) { document, rows, chosen, scores in
            let group = plan.groupOf[document]
            let fold = plan.fold[document]
            let model = models[fold]
            let exponent = exponents[fold]
            let start = document * columns
            for place in sums.indices { sums[place] = 0 }
            var gain = 0.0
            for (place, row) in rows.enumerated() {
                model.fill(scores, chosen: UnsafeBufferPointer(rebasing: chosen[row * K..<(row + 1) * K]))
                gain += Self.posterior(scores, prior, exponent, group) - prior[group]
                for (window, length) in lengths.enumerated() {
                    for g in 0..<G { sums[window * G + g] += scores[g] }
                    guard (place + 1) % length == 0 else { continue }
                    values[start + 2 + window] += Self.credit(sums[window * G..<(window + 1) * G], group)
                    values[start + 2 + W + window] += 1
                    for g in 0..<G { sums[window * G + g] = 0 }
                }
            }
            values[start] += gain / log(2)
            values[start + 1] += Double(rows.count)
        }
    }

    /// - Parameter body: gets a document that is scored, its rows, the experts [rows, K] and room for [G].
    private func withChosen(
        _ shard: MappedShard,
        _ body: (Int, Range<Int>, UnsafeBufferPointer<UInt16>, UnsafeMutableBufferPointer<Double>) -> Void
    ) {
        guard shard.documents.contains(where: { plan.isScored[$0.index] }) else { return }
        var indices: [UInt16] = []
        shard.readExpertIndices(layerIndex: layer.layerIndex, into: &indices)
        withUnsafeTemporaryAllocation(of: Double.self, capacity: groups) { scores in
            scores.initialize(repeating: 0)
            indices.withUnsafeBufferPointer { chosen in
                for document in shard.documents where plan.isScored[document.index] {
                    body(document.index, plan.rows(document), chosen, scores)
                }
            }
        }
    }

    /// log q(group): of π_g p(S|g)^β, over its sum.
    @inline(__always)
    private static func posterior(
        _ scores: UnsafeMutableBufferPointer<Double>, _ prior: [Double], _ exponent: Double, _ group: Int
    ) -> Double {
        var largest = -Double.infinity
        for g in 0..<scores.count { largest = max(largest, prior[g] + exponent * scores[g]) }
        var sum = 0.0
        for g in 0..<scores.count { sum += exp(prior[g] + exponent * scores[g] - largest) }
        return prior[group] + exponent * scores[group] - largest - log(sum)
    }

    /// 1 where the group has the largest sum; where several have it, a share.
    private static func credit(_ sums: ArraySlice<Double>, _ group: Int) -> Double {
        let own = sums[sums.startIndex + group]
        var equal = 0
        for sum in sums {
            if sum > own { return 0 }
            if sum == own { equal += 1 }
        }
        return 1 / Double(equal)
    }

    func summary(_ input: MetricInput, documents: Int, notes: [String]) -> DecodingMetric.Layer {
        let lengths = DecodingMetric.windowLengths
        let (G, W, C) = (groups, lengths.count, columns)
        let scored = plan.isScored.indices.filter { plan.isScored[$0] }
        let table = DocumentTable(
            columns: C, groupCount: G, group: scored.map { plan.groupOf[$0] },
            values: scored.flatMap { values[$0 * C..<($0 + 1) * C] }, design: input.design.restricted(to: scored))
        let bootstrap = Bootstrap(
            table, settings: input.settings, stream: input.stream(DecodingMetric.definition.name, layer), width: 3 + W
        ) { sums, results in
            var (gain, tokens) = (0.0, 0.0)
            for g in 0..<G {
                gain += sums[g * C]
                tokens += sums[g * C + 1]
            }
            let groupEntropy = entropy((0..<G).lazy.map { sums[$0 * C + 1] }) / log(2)
            results[0] = gain / tokens
            results[1] = groupEntropy > 0 ? gain / tokens / groupEntropy : .nan
            results[2] = groupEntropy
            for window in 0..<W {
                var accuracy = 0.0
                for g in 0..<G { accuracy += sums[g * C + 2 + window] / sums[g * C + 2 + W + window] / Double(G) }
                results[3 + window] = accuracy
            }
        }
        let totals = table.sums
        let windows = lengths.enumerated().map { window, length in
            let perGroup = (0..<G).map { Int(totals[$0 * C + 2 + W + window]) }
            let few = perGroup.indices.filter { perGroup[$0] < DecodingMetric.fewestWindows }
            return DecodingMetric.Window(
                length: length, windows: perGroup.reduce(0, +),
                accuracy: few.isEmpty ? bootstrap.estimate(3 + window, within: 0...1) : nil,
                note: few.isEmpty
                    ? nil
                    : "fewer than \(DecodingMetric.fewestWindows) windows: "
                        + few.map { input.groups[plan.groups[$0]] }.joined(separator: ", "))
        }
        return DecodingMetric.Layer(
            layer: layer.layer, documents: documents, tokens: (0..<G).reduce(0) { $0 + Int(totals[$1 * C + 1]) },
            folds: plan.foldCount, gain: bootstrap.estimate(0), groupEntropy: bootstrap.values[2],
            share: bootstrap.estimate(1), exponent: exponents.reduce(0, +) / Double(exponents.count), windows: windows,
            note: notes.isEmpty ? nil : notes.joined(separator: "; "))
    }
}
