extension ConfidenceMetric {
    /// - Throws: where the trace has no router logits.
    public static func compute(_ input: MetricInput) throws(MetricError) -> ConfidenceMetric {
        try input.needRouterLogits(definition.name)
        let G = input.groups.count
        let C = LayerCounts.Confidence.count
        let parts = [
            LayerCounts.Confidence.entropy, LayerCounts.Confidence.firstMargin, LayerCounts.Confidence.choiceMargin,
        ]
        let hasNextChoice = input.sample.expertsPerToken < input.sample.experts
        var rows: [Row] = []
        for layer in input.layers {
            let table = input.table(columns: C, values: layer.confidence)
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream(definition.name, layer),
                width: parts.count * (G + 1)
            ) { sums, results in
                for (part, column) in parts.enumerated() {
                    var all = 0.0
                    var allTokens = 0.0
                    for g in 0..<G {
                        let tokens = sums[g * C + LayerCounts.Confidence.tokens]
                        results[parts.count * (g + 1) + part] = tokens > 0 ? sums[g * C + column] / tokens : 0
                        all += sums[g * C + column]
                        allTokens += tokens
                    }
                    results[part] = allTokens > 0 ? all / allTokens : 0
                }
            }
            for row in 0...G {
                let isLarge = row == 0 || input.sample.groups[row - 1].isLargeEnough
                rows.append(
                    Row(
                        layer: layer.layer, group: row == 0 ? .pooled : .group(input.groups[row - 1]),
                        documents: row == 0 ? input.sample.documents : input.sample.groups[row - 1].documents,
                        tokens: row == 0 ? input.sample.tokens : input.sample.groups[row - 1].tokens,
                        entropy: isLarge ? bootstrap.estimate(parts.count * row, within: 0...Double.infinity) : nil,
                        firstMargin: isLarge
                            ? bootstrap.estimate(parts.count * row + 1, within: 0...Double.infinity) : nil,
                        choiceMargin: isLarge && hasNextChoice
                            ? bootstrap.estimate(parts.count * row + 2, within: 0...Double.infinity) : nil))
            }
        }
        return ConfidenceMetric(sample: input.sample, rows: rows)
    }
}

extension MetricInput {
    func needRouterLogits(_ metric: String) throws(MetricError) {
        guard trace.layout.routerLogits != nil else {
            throw MetricError(
                metric, "the trace \(trace.url.path) has no router logits", hint: "trace with --capture router_logits")
        }
    }
}
