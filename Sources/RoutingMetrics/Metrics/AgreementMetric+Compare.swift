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
        for layer in a.layers {
            guard let other = second.layout.layers.firstIndex(of: layer.layer) else {
                throw MetricError(definition.name, "layer \(layer.layer) is not in \(second.url.path)")
            }
            let counts = try pairing.count(layer, other)
            let C = counts.columns
            let table = a.table(columns: C, values: counts.values)
            let G = table.groupCount
            let D = LayerAgreement.deciles
            let bootstrap = Bootstrap(
                table, settings: settings, stream: a.stream(definition.name, layer), width: 4 + D,
                interval: { $0 < 4 ? .percentile : .accelerated }
            ) { sums, results in
                func all(_ column: Int) -> Double { (0..<G).reduce(0) { $0 + sums[$1 * C + column] } }
                let tokens = all(0)
                for k in 0..<4 { results[k] = tokens > 0 ? all(1 + k) / tokens : 0 }
                for d in 0..<D {
                    let inside = all(5 + 2 * d)
                    results[4 + d] = inside > 0 ? all(6 + 2 * d) / inside : .nan
                }
            }
            let sums = table.sums
            func total(_ column: Int) -> Int { Int((0..<G).reduce(0.0) { $0 + sums[$1 * C + column] }) }
            layers.append(
                Layer(
                    layer: layer.layer, tokens: total(0), overlap: bootstrap.estimate(0),
                    sameSet: bootstrap.estimate(1),
                    sameFirst: bootstrap.estimate(2), divergence: pairing.hasLogits ? bootstrap.estimate(3) : nil))
            for d in 0..<D where total(5 + 2 * d) > 0 {
                deciles.append(
                    Decile(
                        layer: layer.layer, decile: d + 1, lowerMargin: counts.edges[d],
                        upperMargin: counts.edges[d + 1],
                        tokens: total(5 + 2 * d), flips: bootstrap.estimate(4 + d)))
            }
        }
        return AgreementMetric(
            sample: a.sample, models: [first.manifest.model.name, second.manifest.model.name], layers: layers,
            deciles: deciles, effects: PairedEffect.effects(a, try pairing.likelihoods()))
    }

    private static func nonEmpty(_ layers: [Int]) throws(MetricError) -> [Int] {
        guard !layers.isEmpty else { throw MetricError(definition.name, "the traces have no layer in common") }
        return layers
    }
}

/// Per document of one layer: tokens, sums of overlap, same set, same first choice, KL; then tokens and flips by decile.
struct LayerAgreement {
    static let deciles = 10
    let columns = 5 + 2 * LayerAgreement.deciles
    var values: [Double]
    /// Margins between deciles, `deciles` + 1.
    var edges: [Double]
}

/// Two traces of the same tokens, walked side by side.
struct TracePairing {
    let input: MetricInput
    let other: Trace
    let hasLogits: Bool

    init(_ input: MetricInput, _ other: Trace) throws(MetricError) {
        self.input = input
        self.other = other
        let metric = AgreementMetric.definition.name
        let (a, b) = (input.trace, other)
        guard a.layout.experts == b.layout.experts else {
            throw MetricError(
                metric,
                "\(b.url.path): expected \(a.layout.experts) experts as in the first trace, found \(b.layout.experts)")
        }
        guard a.documents.count == b.documents.count else {
            throw MetricError(
                metric,
                "\(b.url.path): expected \(a.documents.count) documents as in the first trace, found \(b.documents.count)"
            )
        }
        for (x, y) in zip(a.documents, b.documents) where x.id != y.id || x.tokens != y.tokens {
            throw MetricError(
                metric,
                "\(b.url.path): document \(x.index): expected \"\(x.id)\" of \(x.tokens) tokens, found \"\(y.id)\" of \(y.tokens)",
                hint: "trace both over the same corpus with the same tokenizer")
        }
        hasLogits = a.layout.routerLogits != nil && b.layout.routerLogits != nil
        try forEachPair { first, second, document, other throws(MetricError) in
            guard first.token[document.rows] == second.token[other.rows] else {
                throw MetricError(metric, "document \"\(document.id)\": the tokens differ")
            }
        }
    }

    /// Every document with its two shards; shards of each trace are opened in order, once.
    func forEachPair(
        _ body: (MappedShard, MappedShard, TraceDocument, TraceDocument) throws(MetricError) -> Void
    ) throws(MetricError) {
        var first: MappedShard?
        var second: MappedShard?
        for (a, b) in zip(input.trace.documents, other.documents) {
            if first?.index != a.shard { first = try Self.open(input.trace, a.shard) }
            if second?.index != b.shard { second = try Self.open(other, b.shard) }
            if let first, let second { try body(first, second, a, b) }
        }
    }

    private static func open(_ trace: Trace, _ shard: Int) throws(MetricError) -> MappedShard {
        do throws(FileError) {
            return try trace.shard(shard)
        } catch {
            throw MetricError(AgreementMetric.definition.name, error)
        }
    }

    /// Of every document: sums of the two negative log-likelihoods, and tokens: [D, 3].
    func likelihoods() throws(MetricError) -> [Double] {
        var values = [Double](repeating: 0, count: 3 * input.trace.documents.count)
        try forEachPair { first, second, document, other in
            // A document's first row has no likelihood.
            for row in input.rows(document) where row > document.firstRow {
                let (x, y) = (first.logprob[row], second.logprob[other.firstRow + row - document.firstRow])
                guard !x.isNaN, !y.isNaN else { continue }
                values[3 * document.index] -= Double(x)
                values[3 * document.index + 1] -= Double(y)
                values[3 * document.index + 2] += 1
            }
        }
        return values
    }

    /// - Parameter other: place of the layer in the second trace.
    func count(_ layer: LayerCounts, _ other: Int) throws(MetricError) -> LayerAgreement {
        let E = layer.experts
        let K = layer.slots
        let K2 = self.other.layout.expertsPerToken
        // Margins first, for their deciles.
        var rows: [RowAgreement] = []
        rows.reserveCapacity(input.sample.tokens)
        var documents: [Int32] = []
        var cache = PairedArrays()
        try forEachPair { first, second, document, match in
            cache.load(first, second, layer.layerIndex, other, hasLogits: hasLogits)
            for row in input.rows(document) {
                let row2 = match.firstRow + row - document.firstRow
                let a = cache.firstIndices[row * K..<(row + 1) * K]
                let b = cache.secondIndices[row2 * K2..<(row2 + 1) * K2]
                let shared = a.reduce(0) { $0 + (Int($1) < E && b.contains($1) ? 1 : 0) }
                var agreement = RowAgreement(
                    overlap: Float(shared) / Float(K), sameSet: shared == K && K == K2, sameFirst: a.first == b.first,
                    divergence: 0, margin: .nan)
                if hasLogits {
                    let p = softmax(cache.firstLogits[row * E..<(row + 1) * E])
                    let q = softmax(cache.secondLogits[row2 * E..<(row2 + 1) * E])
                    var divergence = 0.0
                    for e in 0..<E where p[e] > 0 { divergence += p[e] * log(p[e] / max(q[e], .leastNormalMagnitude)) }
                    agreement.divergence = max(0, divergence)
                    let sorted = p.sorted(by: >)
                    agreement.margin = K < E ? sorted[K - 1] - sorted[K] : 1
                }
                rows.append(agreement)
                documents.append(Int32(document.index))
            }
        }
        let margins = rows.map(\.margin).filter { !$0.isNaN }.sorted()
        let D = LayerAgreement.deciles
        let edges = margins.isEmpty ? [] : (0...D).map { quantile(margins, Double($0) / Double(D)) }
        var result = LayerAgreement(values: [], edges: edges)
        let C = result.columns
        result.values = [Double](repeating: 0, count: input.trace.documents.count * C)
        for (row, document) in zip(rows, documents) {
            let start = Int(document) * C
            result.values[start] += 1
            result.values[start + 1] += Double(row.overlap)
            result.values[start + 2] += row.sameSet ? 1 : 0
            result.values[start + 3] += row.sameFirst ? 1 : 0
            result.values[start + 4] += row.divergence
            guard !row.margin.isNaN else { continue }
            let decile = min(D - 1, edges[1..<D].reduce(0) { $0 + ($1 < row.margin ? 1 : 0) })
            result.values[start + 5 + 2 * decile] += 1
            result.values[start + 6 + 2 * decile] += row.sameSet ? 0 : 1
        }
        return result
    }

    private func softmax(_ logits: ArraySlice<Float>) -> [Double] {
        let largest = Double(logits.max() ?? 0)
        let values = logits.map { exp(Double($0) - largest) }
        let total = values.reduce(0, +)
        return values.map { $0 / total }
    }
}

private struct RowAgreement {
    var overlap: Float
    var sameSet: Bool
    var sameFirst: Bool
    var divergence: Double
    var margin: Double
}

/// The arrays of the two shards at hand, read when a shard changes.
private struct PairedArrays {
    var firstIndices: [UInt16] = []
    var secondIndices: [UInt16] = []
    var firstLogits: [Float] = []
    var secondLogits: [Float] = []
    private var first = -1
    private var second = -1

    mutating func load(_ a: MappedShard, _ b: MappedShard, _ layerA: Int, _ layerB: Int, hasLogits: Bool) {
        if first != a.index {
            first = a.index
            a.readExpertIndices(layerIndex: layerA, into: &firstIndices)
            if hasLogits { a.readRouterLogits(layerIndex: layerA, into: &firstLogits) }
        }
        if second != b.index {
            second = b.index
            b.readExpertIndices(layerIndex: layerB, into: &secondIndices)
            if hasLogits { b.readRouterLogits(layerIndex: layerB, into: &secondLogits) }
        }
    }
}
