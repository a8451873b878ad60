/// The losses that keep routers in balance while they are trained, measured on a trace. Needs router logits.
public struct AuxiliaryLossMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "aux-losses", title: "Auxiliary losses",
        formula:
            "balance: E·Σ_e f_e P_e, f_e = n_e/N (sums to K), P_e = mean router probability, K under perfect balance; "
            + "router z-loss: mean(logsumexp(z)²)",
        source:
            "Switch Transformer (arXiv 2101.03961) as transformers' Mixtral computes it, over all layers; ST-MoE (arXiv 2202.08906)"
    )

    public struct Row: Codable, Sendable, Equatable {
        /// nil: all layers, as in training.
        public var layer: Int?
        public var tokens: Int
        public var balance: Estimate
        public var zLoss: Estimate
    }

    public var sample: MetricSample
    /// All layers first, then each.
    public var rows: [Row]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Balance loss and router z-loss",
                columns: [
                    MetricColumn("layer", .text, "layer of the model, from 0, or \"all\""),
                    MetricColumn("tokens", .integer, unit: "tokens", "rows averaged over"),
                ] + MetricColumn.estimate("balance", "E·Σ f_e P_e; K under perfect balance")
                    + MetricColumn.estimate("z_loss", "mean squared logsumexp of the router logits"),
                rows: rows.map {
                    [.text($0.layer.map(String.init) ?? "all"), .integer($0.tokens)] + $0.balance.cells + $0.zLoss.cells
                })
        ]
    }

    public static func compute(_ input: MetricInput) throws(MetricError) -> AuxiliaryLossMetric {
        try input.needRouterLogits(definition.name)
        let E = input.sample.experts
        // Columns per document: E assignments, E sums of probabilities, logsumexp², tokens.
        let (squares, tokens) = (2 * E, 2 * E + 1)
        let C = 2 * E + 2
        func values(_ layer: LayerCounts) -> [Double] {
            var result: [Double] = []
            result.reserveCapacity(input.tokens.count * C)
            for document in input.tokens.indices {
                result.append(contentsOf: layer.assignments[document * E..<(document + 1) * E])
                result.append(contentsOf: layer.probabilities[document * E..<(document + 1) * E])
                result.append(
                    layer.confidence[
                        document * LayerCounts.Confidence.count + LayerCounts.Confidence.squaredLogSumExp])
                result.append(Double(input.tokens[document]))
            }
            return result
        }
        func row(_ values: [Double], layer: Int?, stream: UInt64) -> Row {
            let table = input.table(columns: C, values: values)
            let G = table.groupCount
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: stream, width: 2,
                interval: { $0 == 0 ? .debiased : .percentile }
            ) { sums, results in
                var count = 0.0
                var square = 0.0
                var product = 0.0
                for g in 0..<G {
                    square += sums[g * C + squares]
                    count += sums[g * C + tokens]
                }
                for e in 0..<E {
                    var assigned = 0.0
                    var probability = 0.0
                    for g in 0..<G {
                        assigned += sums[g * C + e]
                        probability += sums[g * C + E + e]
                    }
                    product += assigned * probability
                }
                results[0] = count > 0 ? Double(E) * product / (count * count) : 0
                results[1] = count > 0 ? square / count : 0
            }
            let tokens = input.sample.tokens * (layer == nil ? input.layers.count : 1)
            return Row(
                layer: layer, tokens: tokens, balance: bootstrap.estimate(0),
                zLoss: bootstrap.estimate(1, within: 0...Double.infinity))
        }
        var all = [Double](repeating: 0, count: input.tokens.count * C)
        var rows: [Row] = []
        for layer in input.layers {
            let layerValues = values(layer)
            for i in all.indices { all[i] += layerValues[i] }
            rows.append(row(layerValues, layer: layer.layer, stream: input.stream(definition.name, layer)))
        }
        if let first = input.layers.first {
            rows.insert(row(all, layer: nil, stream: input.stream(definition.name, first, 1)), at: 0)
        }
        return AuxiliaryLossMetric(sample: input.sample, rows: rows)
    }
}
