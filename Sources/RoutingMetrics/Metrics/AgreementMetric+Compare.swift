import FileFormats
import Foundation
import Traces

extension AgreementMetric {
    /// Compares two traces of the same tokens, layer numbers matched, whatever their shards.
    /// - Throws: where documents, tokens or experts differ, naming the first that does.
    public static func compare(
        _ first: Trace, _ second: Trace, settings: MetricSettings = MetricSettings()
    ) throws(MetricError) -> AgreementMetric {
        var settings = settings
        let common = first.layout.layers.filter { second.layout.layers.contains($0) }
        if settings.layers == nil { settings.layers = try nonEmpty(common) }
        let a = try MetricInput(first, settings: settings)
        let pairing = try TracePairing(a, second)
        var layers: [Layer] = []
        var deciles: [Decile] = []
        var pooled: [Double] = []
        for layer in a.layers {
            guard let other = second.layout.layers.firstIndex(of: layer.layer) else {
                throw MetricError(definition.name, "layer \(layer.layer) is not in \(second.url.path)")
            }
            let counts = try pairing.count(layer, other)
            pooled = pooled.isEmpty ? counts.values : zip(pooled, counts.values).map(+)
            let found = Estimates(a, counts.values, stream: a.stream(definition.name, layer))
            layers.append(
                Layer(
                    layer: layer.layer, tokens: found.tokens, overlap: found.overlap, sameSet: found.sameSet,
                    sameFirst: found.sameFirst, divergence: pairing.hasLogits ? found.divergence : nil))
            for decile in found.deciles {
                deciles.append(
                    Decile(
                        layer: layer.layer, decile: decile.decile, lowerMargin: counts.edges[decile.decile - 1],
                        upperMargin: counts.edges[decile.decile], tokens: decile.tokens, flips: decile.flips))
            }
        }
        let overall = a.layers.first.map { layer in
            let found = Estimates(a, pooled, stream: a.stream(definition.name, layer, 1))
            return Overall(
                layers: a.layers.count, choices: found.tokens, overlap: found.overlap, sameSet: found.sameSet,
                sameFirst: found.sameFirst, divergence: pairing.hasLogits ? found.divergence : nil,
                deciles: found.deciles)
        }
        return AgreementMetric(
            sample: a.sample, models: [first.manifest.model.name, second.manifest.model.name], layers: layers,
            deciles: deciles, overall: overall,
            effects: pairing.hasLogprobs ? PairedEffect.effects(a, try pairing.likelihoods()) : [])
    }

    private static func nonEmpty(_ layers: [Int]) throws(MetricError) -> [Int] {
        guard !layers.isEmpty else { throw MetricError(definition.name, "the traces have no layer in common") }
        return layers
    }

    /// The estimates of one table of `LayerAgreement`, of a layer or of the sum over layers.
    private struct Estimates {
        var tokens: Int
        var overlap, sameSet, sameFirst, divergence: Estimate
        /// Those with tokens in them.
        var deciles: [Overall.Decile]

        init(_ input: MetricInput, _ values: [Double], stream: UInt64) {
            typealias Column = LayerAgreement.Column
            let C = Column.count
            let table = input.table(columns: C, values: values)
            let G = table.groupCount
            let D = LayerAgreement.deciles
            let means = [Column.overlap, Column.sameSet, Column.sameFirst, Column.divergence]
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: stream, width: means.count + D,
                interval: { $0 < means.count ? .percentile : .accelerated }
            ) { sums, results in
                func all(_ column: Int) -> Double { (0..<G).reduce(0) { $0 + sums[$1 * C + column] } }
                let tokens = all(Column.tokens)
                for (k, column) in means.enumerated() { results[k] = tokens > 0 ? all(column) / tokens : 0 }
                for d in 0..<D {
                    let inside = all(Column.tokens(inDecile: d))
                    results[means.count + d] = inside > 0 ? all(Column.flips(inDecile: d)) / inside : .nan
                }
            }
            let sums = table.sums
            func total(_ column: Int) -> Int { Int((0..<G).reduce(0.0) { $0 + sums[$1 * C + column] }) }
            tokens = total(Column.tokens)
            overlap = bootstrap.estimate(0, within: 0...1)
            sameSet = bootstrap.estimate(1, within: 0...1)
            sameFirst = bootstrap.estimate(2, within: 0...1)
            divergence = bootstrap.estimate(3, within: 0...Double.infinity)
            deciles = (0..<D).filter { total(Column.tokens(inDecile: $0)) > 0 }.map {
                let tokens = total(Column.tokens(inDecile: $0))
                return Overall.Decile(
                    decile: $0 + 1, tokens: tokens,
                    flips: bootstrap.estimate(means.count + $0, within: 0...1)
                        .widened(toTokens: tokens, level: input.settings.level))
            }
        }
    }
}

/// Sums per document of one layer.
struct LayerAgreement {
    static let deciles = 10

    /// Columns of `values`.
    enum Column {
        static let tokens = 0
        /// Share of a token's experts that both traces chose.
        static let overlap = 1
        static let sameSet = 2
        static let sameFirst = 3
        /// nats
        static let divergence = 4
        /// Tokens whose margin lies in a decile, from 0.
        static func tokens(inDecile decile: Int) -> Int { 5 + 2 * decile }
        /// Those of them whose sets differ.
        static func flips(inDecile decile: Int) -> Int { 6 + 2 * decile }
        static let count = 5 + 2 * LayerAgreement.deciles
    }

    /// [D, `Column.count`]
    var values: [Double]
    /// Margins between deciles, `deciles` + 1.
    var edges: [Double]
}
