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
        try forEachHeadTable(input) { layer, table in
            let columns = HeadColumns(heads: input.trace.layout.heads)
            let H = columns.heads
            let C = columns.count
            let hasRouter = input.trace.layout.routerLogits != nil
            let G = table.groupCount
            // Results per head: the means of the statistics, then the correlation.
            let means = AttentionStatistic.allCases.count
            let width = means + 1
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream(definition.name, layer), width: width * H
            ) { sums, results in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: C) { all in
                    all.initialize(repeating: 0)
                    for g in 0..<G { for i in 0..<C { all[i] += sums[g * C + i] } }
                    let n = all[columns.tokens]
                    let (router, routerSquares) = (all[columns.router], all[columns.squaredRouter])
                    for head in 0..<H {
                        for k in 0..<means {
                            results[width * head + k] = n > 0 ? all[columns.statistic(k, of: head)] / n : 0
                        }
                        let entropy = all[columns.entropy(of: head)]
                        let covariance = n * all[columns.entropyTimesRouter(of: head)] - entropy * router
                        let spread =
                            (n * all[columns.squaredEntropy(of: head)] - entropy * entropy)
                            * (n * routerSquares - router * router)
                        results[width * head + means] = spread > 0 ? covariance / spread.squareRoot() : .nan
                    }
                }
            }
            for head in 0..<H {
                let score = induction.scores[[layer.layer, head]]
                let correlation = bootstrap.estimate(width * head + means, within: -1...1)
                func mean(_ statistic: AttentionStatistic) -> Estimate {
                    bootstrap.estimate(width * head + columns.place(of: statistic), within: 0...Double.infinity)
                }
                heads.append(
                    Head(
                        layer: layer.layer, head: head, tokens: input.sample.tokens, entropy: mean(.entropy),
                        first: mean(.first), previous: mean(.previous), distance: mean(.distance), largest: mean(.max),
                        induction: score.flatMap { $0.count > 0 ? $0.sum / Double($0.count) : nil },
                        inductionTokens: score?.count ?? 0,
                        routerCorrelation: hasRouter && correlation.value.isFinite ? correlation : nil))
            }
        }
        return AttentionMetric(sample: input.sample, heads: heads)
    }
}

/// Induction from captured patterns, by [layer, head].
private struct InductionScores {
    var scores: [[Int]: (sum: Double, count: Int)] = [:]

    init(_ input: MetricInput) throws(MetricError) {
        do throws(FileError) {
            guard input.trace.layout.hasTokens else { return }
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
