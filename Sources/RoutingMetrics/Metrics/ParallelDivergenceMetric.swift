import Foundation
import Tensors

/// How differently the same text is routed in two languages. Needs router logits and documents with `parallel_id`.
public struct ParallelDivergenceMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "parallel-divergence", title: "Normalized divergence of parallel texts",
        formula:
            "D_HJS = JSD(q_a, q_b) / (log E − ½(H(q_a) + H(q_b))), q = mean router probabilities over a text; mean over parallel texts; "
            + "baseline: the same between different texts of one group, every text in one pair",
        source: "Multilingual routing in mixture-of-experts (arXiv 2510.04694), where it is U-shaped over layers")

    public struct Pair: Codable, Sendable, Equatable {
        public var layer: Int
        public var groupA: String
        public var groupB: String
        /// Parallel texts.
        public var texts: Int
        public var divergence: Estimate
    }

    public struct Layer: Codable, Sendable, Equatable {
        public var layer: Int
        public var texts: Int
        /// Mean over all pairs of groups.
        public var mean: Estimate
        /// Different texts, same group: what texts alone do.
        public var baseline: Estimate
        /// `mean` less `baseline`, with bounds that hold for all layers at once.
        public var excess: Estimate
    }

    public var sample: MetricSample
    public var pairs: [Pair]
    public var layers: [Layer]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Normalized divergence of parallel texts, all pairs of groups",
                columns: [
                    .layer, MetricColumn("group_a", .text, "first group"),
                    MetricColumn("group_b", .text, "second group"),
                    MetricColumn("texts", .integer, "parallel texts"),
                ] + MetricColumn.estimate("divergence", "mean D_HJS, 0 to 1"),
                rows: pairs.map {
                    [.integer($0.layer), .text($0.groupA), .text($0.groupB), .integer($0.texts)] + $0.divergence.cells
                }),
            MetricTable(
                name: "parallel-divergence-layers", title: "Normalized divergence of parallel texts, by layer",
                columns: [.layer, MetricColumn("texts", .integer, "texts in two groups or more")]
                    + MetricColumn.estimate("mean", "mean over all pairs of groups")
                    + MetricColumn.estimate("baseline", "different texts of the same group")
                    + MetricColumn.estimate("excess", "mean less baseline", forAll: "layers"),
                rows: layers.map {
                    [.integer($0.layer), .integer($0.texts)] + $0.mean.cells + $0.baseline.cells + $0.excess.cells
                }),
        ]
    }

    /// JSD of two distributions over the most it could be, given their entropies; 0 where both are uniform.
    static func normalized(_ a: [Double], _ b: [Double]) -> Double {
        let divergence = a.withUnsafeBufferPointer { a in b.withUnsafeBufferPointer { jensenShannon(a, $0) } }
        let room = log(Double(a.count)) - (entropy(a) + entropy(b)) / 2
        return room > 1e-12 ? divergence / room : 0
    }

    public static func compute(_ input: MetricInput) throws(MetricError) -> ParallelDivergenceMetric {
        try input.needRouterLogits(definition.name)
        let G = input.groups.count
        // [text][group] → document
        var texts: [String: [Int: Int]] = [:]
        for document in input.trace.documents where input.tokens[document.index] > 0 {
            if let id = document.parallelID { texts[id, default: [:]][input.groupOf[document.index]] = document.index }
        }
        let parallel = texts.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map(\.value)
        guard parallel.count >= max(2, input.settings.minimumDocuments) else {
            throw MetricError(
                definition.name, "expected parallel texts, found \(parallel.count) in two groups or more",
                hint: "give the documents of one text the same \"parallel_id\"")
        }
        let combinations = (0..<G).flatMap { a in (a + 1..<max(a + 1, G)).map { (a, $0) } }
        // Columns: sum and count of each pair of groups.
        let C = 2 * combinations.count
        var pairs: [Pair] = []
        var layers: [Layer] = []
        for layer in input.layers {
            var values = [Double](repeating: 0, count: parallel.count * C)
            for (row, text) in parallel.enumerated() {
                for (place, (a, b)) in combinations.enumerated() {
                    guard let first = text[a], let second = text[b] else { continue }
                    values[row * C + 2 * place] = normalized(layer.routerMean(first), layer.routerMean(second))
                    values[row * C + 2 * place + 1] = 1
                }
            }
            let table = DocumentTable(
                columns: C, groupCount: 1, group: [Int](repeating: 0, count: parallel.count), values: values,
                design: input.design.restricted(to: parallel.map { $0.values.min() ?? 0 }))
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream(definition.name, layer),
                width: combinations.count + 1, interval: { _ in .accelerated }
            ) { sums, results in
                var total = 0.0
                var used = 0.0
                for place in 0..<combinations.count {
                    let count = sums[2 * place + 1]
                    results[place] = count > 0 ? sums[2 * place] / count : 0
                    total += results[place]
                    used += count > 0 ? 1 : 0
                }
                results[combinations.count] = used > 0 ? total / used : 0
            }
            let sums = table.sums
            for (place, (a, b)) in combinations.enumerated() where sums[2 * place + 1] > 0 {
                pairs.append(
                    Pair(
                        layer: layer.layer, groupA: input.groups[a], groupB: input.groups[b],
                        texts: Int(sums[2 * place + 1]), divergence: bootstrap.estimate(place, within: 0...1)))
            }
            let mean = bootstrap.estimate(combinations.count, within: 0...1)
            let (baseline, bounds) = baseline(input, layer, parallel, values, combinations.count)
            let value = mean.value - baseline.value
            layers.append(
                Layer(
                    layer: layer.layer, texts: parallel.count, mean: mean, baseline: baseline,
                    excess: Estimate(
                        value, lower: bounds.lower.map { min($0, value) }, upper: bounds.upper.map { max($0, value) })))
        }
        return ParallelDivergenceMetric(sample: input.sample, pairs: pairs, layers: layers)
    }

    /// The first text beside the second, the third beside the fourth, in every group that has both: no text in two pairs, so
    /// that pairs can be drawn as if they were documents.
    /// - Parameter divergences: the texts' rows of the table of pairs of groups.
    /// - Returns: the baseline, and what the texts' own divergence is above it, with bounds for all layers at once.
    private static func baseline(
        _ input: MetricInput, _ layer: LayerCounts, _ parallel: [[Int: Int]], _ divergences: [Double], _ pairs: Int
    ) -> (baseline: Estimate, excess: Estimate) {
        // Sum and count of the baseline; then sums and counts of the divergences of both texts.
        let C = 2 + 2 * pairs
        var values: [Double] = []
        for row in stride(from: 0, to: parallel.count - 1, by: 2) {
            var (sum, count) = (0.0, 0.0)
            for group in input.groups.indices {
                guard let document = parallel[row][group], let other = parallel[row + 1][group] else { continue }
                sum += normalized(layer.routerMean(document), layer.routerMean(other))
                count += 1
            }
            values += [sum, count]
            for column in 0..<2 * pairs {
                values.append(divergences[row * 2 * pairs + column] + divergences[(row + 1) * 2 * pairs + column])
            }
        }
        let table = DocumentTable(
            columns: C, groupCount: 1, group: [Int](repeating: 0, count: values.count / C), values: values,
            design: input.design.restricted(
                to: stride(from: 0, to: parallel.count - 1, by: 2).map { parallel[$0].values.min() ?? 0 }))
        // Texts are paired off, so that there are half as many units: two or three of them tell no variance.
        var settings = input.settings
        if table.documentCount < settings.minimumDocuments { settings.bootstrap = 0 }
        let baseline = Bootstrap(
            table, settings: settings, stream: input.stream(definition.name, layer, 1), width: 1,
            interval: { _ in .accelerated }
        ) { sums, results in
            results[0] = sums[1] > 0 ? sums[0] / sums[1] : 0
        }.estimate(0, within: 0...1)
        let excess = Bootstrap(
            table, settings: settings, stream: input.stream(definition.name, layer, 2), width: 1,
            interval: { _ in .accelerated }
        ) { sums, results in
            var (total, used) = (0.0, 0.0)
            for pair in 0..<pairs where sums[2 + 2 * pair + 1] > 0 {
                total += sums[2 + 2 * pair] / sums[2 + 2 * pair + 1]
                used += 1
            }
            results[0] = (used > 0 ? total / used : 0) - (sums[1] > 0 ? sums[0] / sums[1] : 0)
        }.estimate(0, among: input.layers.count)
        return (baseline, excess)
    }
}

extension LayerCounts {
    /// Sum of a document's router probabilities: proportional to their mean.
    func routerMean(_ document: Int) -> [Double] {
        let sums = Array(probabilities[document * experts..<(document + 1) * experts])
        let total = sums.reduce(0, +)
        return sums.map { total > 0 ? $0 / total : 0 }
    }
}
