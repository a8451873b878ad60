import Foundation
import Traces

/// How early routing settles: traces of the same tokens by checkpoints of one training run, each against the last.
public struct SaturationMetric: MetricValues, Equatable {
    public static let definition = MetricDefinition(
        name: "saturation", title: "Router saturation",
        formula:
            "of every trace against the last one of the series: mean |S_t ∩ S_T|/K by layer; P(S_t = S_T); "
            + "P(e¹_t = e¹_T); KL(π_T‖π_t) in nats; NLL_t − NLL_T, paired; chance: K Σ_e p_t(e) p_T(e), of independent tokens under the "
            + "measured loads, K/E where they are uniform",
        source: "OLMoE (arXiv 2409.02060), section 5.1")

    public struct Row: Codable, Sendable, Equatable {
        /// Place in the series, from 0.
        public var place: Int
        /// Name of the trace's folder.
        public var trace: String
        public var layer: Int
        public var tokens: Int
        public var overlap: Estimate
        /// What independent tokens would share, under both traces' loads.
        public var loadChance: Double
        public var sameSet: Estimate
        public var sameFirst: Estimate
        /// nats; nil where a trace has no router logits.
        public var divergence: Estimate?
    }

    public struct Loss: Codable, Sendable, Equatable {
        public var place: Int
        public var trace: String
        /// `first` is the last trace's NLL, `second` this one's.
        public var effect: AgreementMetric.Effect
    }

    public var sample: MetricSample
    /// Names of the traces' folders, in order.
    public var traces: [String]
    /// By place, then layer; without the last trace, which agrees with itself.
    public var rows: [Row]
    /// By place, then the pooled loss and the groups'.
    public var losses: [Loss]

    public var tables: [MetricTable] {
        let place = MetricColumn("place", .integer, "place in the series, from 0")
        let trace = MetricColumn("trace", .text, "folder of the trace")
        return [
            MetricTable(
                name: Self.definition.name, title: "Agreement of every trace with \(traces.last ?? "the last")",
                columns: [place, trace, .layer, .tokens]
                    + MetricColumn.estimate("overlap", "mean share of a token's experts that are the last trace's")
                    + [MetricColumn("load_chance", .real, "the same of independent tokens under both loads")]
                    + MetricColumn.estimate("same_set", "tokens with the same experts")
                    + MetricColumn.estimate("same_first", "tokens with the same first choice")
                    + MetricColumn.estimate("kl", unit: "nats", "mean KL of the router's probabilities from the last's"),
                rows: rows.map {
                    [.integer($0.place), .text($0.trace), .integer($0.layer), .integer($0.tokens)] + $0.overlap.cells
                        + [.real($0.loadChance)] + $0.sameSet.cells + $0.sameFirst.cells + $0.divergence.cells
                }),
            MetricTable(
                name: "saturation-nll", title: "Negative log-likelihood beside the last trace's",
                columns: [place, trace] + MetricColumn.groupOrPooled + [
                    .documents, .tokens,
                    MetricColumn("nll", .real, unit: "nats", "mean NLL in this trace"),
                    MetricColumn("last_nll", .real, unit: "nats", "mean NLL in the last"),
                ] + MetricColumn.estimate("difference", unit: "nats", "this one less the last, paired") + [
                    MetricColumn("p_value", .real, "two-sided, signs flipped over documents"), .note,
                ],
                rows: losses.map {
                    [.integer($0.place), .text($0.trace)] + $0.effect.group.cells + [
                        .integer($0.effect.documents), .integer($0.effect.tokens), .real($0.effect.second),
                        .real($0.effect.first),
                    ] + $0.effect.difference.cells + [
                        .optional($0.effect.pValue),
                        $0.effect.difference == nil ? .text("too few documents") : .missing,
                    ]
                }),
        ]
    }

    /// Holds every trace of a series against its last.
    /// - Parameter series: two or more, in the order of training.
    /// - Throws: fewer than two traces; traces of other tokens, naming the first that differs.
    public static func compare(
        _ series: [Trace], settings: MetricSettings = MetricSettings()
    ) throws(MetricError) -> SaturationMetric {
        guard let last = series.last, series.count > 1 else {
            throw MetricError(definition.name, "expected two traces or more, found \(series.count)")
        }
        let names = series.map { $0.url.standardizedFileURL.lastPathComponent }
        let reference = try MetricInput(last, settings: settings)
        var rows: [Row] = []
        var losses: [Loss] = []
        for (place, trace) in series.dropLast().enumerated() {
            let agreement = try AgreementMetric.compare(last, trace, settings: settings)
            var own = settings
            own.layers = agreement.layers.map(\.layer)
            let input = try MetricInput(trace, settings: own)
            for layer in agreement.layers {
                let (a, b) = (Self.shares(reference, layer.layer), Self.shares(input, layer.layer))
                rows.append(
                    Row(
                        place: place, trace: names[place], layer: layer.layer, tokens: layer.tokens,
                        overlap: layer.overlap,
                        loadChance: zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } * Double(input.sample.expertsPerToken),
                        sameSet: layer.sameSet, sameFirst: layer.sameFirst, divergence: layer.divergence))
            }
            losses += agreement.effects.map { Loss(place: place, trace: names[place], effect: $0) }
        }
        return SaturationMetric(sample: reference.sample, traces: names, rows: rows, losses: losses)
    }

    /// Share of a layer's assignments at each expert.
    private static func shares(_ input: MetricInput, _ layer: Int) -> [Double] {
        let E = input.sample.experts
        var sums = [Double](repeating: 0, count: E)
        guard let counts = input.layers.first(where: { $0.layer == layer }) else { return sums }
        for (i, count) in counts.assignments.enumerated() { sums[i % E] += count }
        let total = max(1, sums.reduce(0, +))
        return sums.map { $0 / total }
    }
}
