import Traces

/// How much weight an expert carries where it is chosen.
public struct ExpertConfidenceMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "expert-confidence", title: "Confidence in each expert",
        formula:
            "mean mixing weight of expert e over the tokens that choose it, and the share of them whose first choice it is; "
            + "both are 1/K where choices are no more than ties",
        source:
            "weights as the model applied them; where a model divides them by their sum they add up to 1 over K choices"
    )

    public struct Row: Codable, Sendable, Equatable {
        public var layer: Int
        public var expert: Int
        /// Tokens that chose the expert.
        public var count: Int
        /// Mean weight; nil where no token chose the expert.
        public var weight: Estimate?
        /// Share of these tokens whose first choice it is; nil where no token chose the expert.
        public var first: Estimate?
    }

    public var sample: MetricSample
    /// By layer, then expert.
    public var rows: [Row]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Confidence in each expert",
                columns: [
                    .layer, .expert, MetricColumn("count", .integer, unit: "tokens", "tokens that chose the expert"),
                ]
                    + MetricColumn.estimate("weight", "mean mixing weight over these tokens")
                    + MetricColumn.estimate("first", "share of these tokens whose first choice it is") + [.note],
                rows: rows.map {
                    [.integer($0.layer), .integer($0.expert), .integer($0.count)] + $0.weight.cells + $0.first.cells
                        + [$0.weight == nil ? .text("no token chose the expert") : .missing]
                })
        ]
    }

    /// - Throws: where the trace has no weights.
    public static func compute(_ input: MetricInput) throws(MetricError) -> ExpertConfidenceMetric {
        try input.need(.weights, for: definition.name)
        let E = input.sample.experts
        let G = input.groups.count
        let C = 3 * E
        let weights = try input.weightSums(definition.name)
        var rows: [Row] = []
        for (place, layer) in input.layers.enumerated() {
            // Per document and expert: tokens, tokens whose first choice it is, sum of weights.
            var values = [Double](repeating: 0, count: input.groupOf.count * C)
            for document in input.groupOf.indices {
                for e in 0..<E {
                    values[document * C + e] = layer.assignments[document * E + e]
                    values[document * C + E + e] = layer.firsts[document * E + e]
                    values[document * C + 2 * E + e] = weights[place][document * E + e]
                }
            }
            let bootstrap = Bootstrap(
                input.table(columns: C, values: values), settings: input.settings,
                stream: input.stream(definition.name, layer), width: 2 * E
            ) { sums, results in
                for e in 0..<E {
                    var (count, first, weight) = (0.0, 0.0, 0.0)
                    for g in 0..<G {
                        count += sums[g * C + e]
                        first += sums[g * C + E + e]
                        weight += sums[g * C + 2 * E + e]
                    }
                    results[2 * e] = count > 0 ? weight / count : .nan
                    results[2 * e + 1] = count > 0 ? first / count : .nan
                }
            }
            for e in 0..<E {
                let count = input.groupOf.indices.reduce(0) { $0 + Int(layer.assignments[$1 * E + e]) }
                rows.append(
                    Row(
                        layer: layer.layer, expert: e, count: count,
                        weight: count > 0 ? bootstrap.estimate(2 * e, within: 0...1) : nil,
                        first: count > 0 ? bootstrap.estimate(2 * e + 1, within: 0...1) : nil))
            }
        }
        return ExpertConfidenceMetric(sample: input.sample, rows: rows)
    }
}

extension MetricInput {
    /// Sums of mixing weights, [layers][D, E]. It reads the shards again: no other metric looks at the weights.
    fileprivate func weightSums(_ metric: String) throws(MetricError) -> [[Double]] {
        let E = sample.experts
        var sums = [[Double]](repeating: [Double](repeating: 0, count: groupOf.count * E), count: layers.count)
        try forEachShard(metric) { shard in
            guard let first = shard.documents.first?.index else { return }
            let parts = perLayer { _, layer, _ -> [Double] in
                let K = layer.slots
                var part = [Double](repeating: 0, count: shard.documents.count * E)
                var indices: [UInt16] = []
                var weights: [Float] = []
                shard.readExpertIndices(layerIndex: layer.layerIndex, into: &indices)
                shard.readExpertWeights(layerIndex: layer.layerIndex, into: &weights)
                for document in shard.documents {
                    let start = (document.index - first) * E
                    let kept = rows(document)
                    for slot in kept.lowerBound * K..<kept.upperBound * K where Int(indices[slot]) < E {
                        part[start + Int(indices[slot])] += Double(weights[slot])
                    }
                }
                return part
            }
            for (place, part) in parts.enumerated() {
                for (offset, value) in part.enumerated() { sums[place][first * E + offset] += value }
            }
        }
        return sums
    }
}
