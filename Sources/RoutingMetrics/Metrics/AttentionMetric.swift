import FileFormats
import Foundation
import Tensors
import Traces

/// What attention heads look at, and whether that goes with the router's certainty. Needs `--capture attention_summary`.
public struct AttentionMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "attention", title: "Attention heads",
        formula:
            "means over tokens of the head's entropy (nats), mass on position 0, mass on the previous position, distance, largest weight; "
            + "induction: mean weight from a token to the one after its last earlier occurrence (where patterns were captured); "
            + "Pearson correlation over tokens of head entropy and router entropy in the same layer",
        source: "induction: Olsson et al. 2022; first-token mass: attention sinks, arXiv 2309.17453")

    public struct Head: Codable, Sendable, Equatable {
        public var layer: Int
        public var head: Int
        public var tokens: Int
        public var entropy: Estimate
        public var first: Estimate
        public var previous: Estimate
        public var distance: Estimate
        public var largest: Estimate
        /// nil where no pattern of the head was captured.
        public var induction: Double?
        /// Tokens that had an earlier occurrence in a captured pattern.
        public var inductionTokens: Int
        /// nil without router logits.
        public var routerCorrelation: Estimate?
    }

    public var sample: MetricSample
    /// By layer, head.
    public var heads: [Head]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Attention heads",
                columns: [.layer, MetricColumn("head", .integer, "query head, from 0"), .tokens]
                    + MetricColumn.estimate("entropy", unit: "nats", "mean entropy of the attention weights")
                    + MetricColumn.estimate("first", "mean mass on position 0")
                    + MetricColumn.estimate("previous", "mean mass on the previous position")
                    + MetricColumn.estimate("distance", unit: "tokens", "mean distance looked back")
                    + MetricColumn.estimate("largest", "mean of the largest weight") + [
                        MetricColumn("induction", .real, "mean weight on the token after the last earlier occurrence"),
                        MetricColumn("induction_tokens", .integer, "tokens with an earlier occurrence"),
                    ] + MetricColumn.estimate("router_correlation", "correlation of head entropy and router entropy"),
                rows: heads.map {
                    [.integer($0.layer), .integer($0.head), .integer($0.tokens)] + $0.entropy.cells + $0.first.cells
                        + $0.previous.cells + $0.distance.cells + $0.largest.cells
                        + [.optional($0.induction), .integer($0.inductionTokens)] + $0.routerCorrelation.cells
                })
        ]
    }

    /// - Throws: where the trace has no attention summary, or one that cannot be read.
    public static func compute(_ input: MetricInput) throws(MetricError) -> AttentionMetric {
        guard input.trace.layout.attentionSummary else {
            throw MetricError(
                definition.name, "the trace \(input.trace.url.path) has no attention summary",
                hint: "trace with --capture router_logits,attention_summary")
        }
        let induction = try InductionScores(input)
        var heads: [Head] = []
        for (layer, table) in zip(input.layers, try headTables(input)) {
            let H = input.trace.layout.heads
            let S = Self.columnsPerHead
            let C = table.columns
            let hasRouter = input.trace.layout.routerLogits != nil
            let G = table.groupCount
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream(definition.name, layer), width: 6 * H
            ) { sums, results in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: C) { all in
                    all.initialize(repeating: 0)
                    for g in 0..<G { for i in 0..<C { all[i] += sums[g * C + i] } }
                    let n = all[C - 3]
                    let (router, routerSquares) = (all[C - 2], all[C - 1])
                    for head in 0..<H {
                        let base = head * S
                        for k in 0..<5 { results[6 * head + k] = n > 0 ? all[base + k] / n : 0 }
                        let covariance = n * all[base + 6] - all[base] * router
                        let spread = (n * all[base + 5] - all[base] * all[base]) * (n * routerSquares - router * router)
                        results[6 * head + 5] = spread > 0 ? covariance / spread.squareRoot() : .nan
                    }
                }
            }
            for head in 0..<H {
                let score = induction.scores[[layer.layer, head]]
                let correlation = bootstrap.estimate(6 * head + 5)
                heads.append(
                    Head(
                        layer: layer.layer, head: head, tokens: input.sample.tokens,
                        entropy: bootstrap.estimate(6 * head), first: bootstrap.estimate(6 * head + 1),
                        previous: bootstrap.estimate(6 * head + 2), distance: bootstrap.estimate(6 * head + 3),
                        largest: bootstrap.estimate(6 * head + 4),
                        induction: score.flatMap { $0.count > 0 ? $0.sum / Double($0.count) : nil },
                        inductionTokens: score?.count ?? 0,
                        routerCorrelation: hasRouter && correlation.value.isFinite ? correlation : nil))
            }
        }
        return AttentionMetric(sample: input.sample, heads: heads)
    }

    /// Sums of the five statistics, of entropy² and of entropy × router entropy.
    private static let columnsPerHead = 7

    /// Of every layer, per document: `columnsPerHead` for each head; tokens, sums of router entropy and its square.
    private static func headTables(_ input: MetricInput) throws(MetricError) -> [DocumentTable] {
        let C = input.trace.layout.heads * columnsPerHead + 3
        let size = input.trace.documents.count * C
        let layers = input.layers
        // Not an array's buffer inside a closure: reading shards may throw.
        let all = UnsafeMutableBufferPointer<Double>.allocate(capacity: layers.count * size)
        all.initialize(repeating: 0)
        defer { all.deallocate() }
        nonisolated(unsafe) let sums = all
        try input.forEachShard(definition.name) { shard in
            Parallel.forEach(layers.count, threads: input.settings.threads) { place in
                add(
                    shard, layers[place], input,
                    to: UnsafeMutableBufferPointer(rebasing: sums[place * size..<(place + 1) * size]))
            }
        }
        return layers.indices.map { input.table(columns: C, values: Array(all[$0 * size..<($0 + 1) * size])) }
    }

    private static func add(
        _ shard: MappedShard, _ layer: LayerCounts, _ input: MetricInput, to values: UnsafeMutableBufferPointer<Double>
    ) {
        let H = input.trace.layout.heads
        let S = columnsPerHead
        let C = H * S + 3
        let E = input.sample.experts
        let n = shard.rowCount
        var router = [Double](repeating: 0, count: n)
        if shard.hasRouterLogits {
            var logits: [Float] = []
            shard.readRouterLogits(layerIndex: layer.layerIndex, into: &logits)
            for row in 0..<n { router[row] = softmaxEntropy(logits[row * E..<(row + 1) * E]) }
        }
        var array: [Float] = []
        for (k, statistic) in AttentionStatistic.allCases.enumerated() {
            shard.readAttention(statistic, layer: layer.layer, into: &array)
            array.withUnsafeBufferPointer { array in
                for document in shard.documents {
                    let rows = input.rows(document)
                    for head in 0..<H {
                        let base = document.index * C + head * S
                        for row in rows {
                            let value = Double(array[head * n + row])
                            values[base + k] += value
                            guard statistic == .entropy else { continue }
                            values[base + 5] += value * value
                            values[base + 6] += value * router[row]
                        }
                    }
                }
            }
        }
        for document in shard.documents {
            let base = document.index * C
            for row in input.rows(document) {
                values[base + C - 3] += 1
                values[base + C - 2] += router[row]
                values[base + C - 1] += router[row] * router[row]
            }
        }
    }

    private static func softmaxEntropy(_ logits: ArraySlice<Float>) -> Double {
        let largest = Double(logits.max() ?? 0)
        var total = 0.0
        var weighted = 0.0
        for z in logits where z > -.infinity {
            let shifted = Double(z) - largest
            let value = exp(shifted)
            total += value
            weighted += value * shifted
        }
        return max(0, log(total) - weighted / total)
    }
}

/// Induction from captured patterns, by [layer, head].
private struct InductionScores {
    var scores: [[Int]: (sum: Double, count: Int)] = [:]

    init(_ input: MetricInput) throws(MetricError) {
        do throws(FileError) {
            var tokensOf: [Int: [Int32]] = [:]
            for (document, layer, head) in try input.trace.attentionPatterns() {
                guard let pattern = try input.trace.attentionPattern(document: document, layer: layer, head: head)
                else {
                    continue
                }
                if tokensOf[document] == nil {
                    let item = input.trace.documents[document]
                    tokensOf[document] = Array(try input.trace.shard(item.shard).token[item.rows])
                }
                let tokens = tokensOf[document] ?? []
                var last: [Int32: Int] = [:]
                var score = scores[[layer, head]] ?? (0, 0)
                for (position, token) in tokens.enumerated() {
                    if let earlier = last[token] {
                        score.sum += Double(pattern[position * tokens.count + earlier + 1])
                        score.count += 1
                    }
                    last[token] = position
                }
                scores[[layer, head]] = score
            }
        } catch {
            throw MetricError(AttentionMetric.definition.name, error)
        }
    }
}
