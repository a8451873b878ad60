import FileFormats
import Foundation
import Traces

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
        for trace in [a, b] { try MetricInput.need([.tokens, .order], of: trace, for: metric) }
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

    /// Whether both traces have log-probabilities.
    var hasLogprobs: Bool { input.trace.layout.hasLogprobs && other.layout.hasLogprobs }

    /// Each document's sums of the two negative log-likelihoods, and its tokens: [D, `PairedEffect.Column.count`].
    func likelihoods() throws(MetricError) -> [Double] {
        typealias Column = PairedEffect.Column
        var values = [Double](repeating: 0, count: Column.count * input.trace.documents.count)
        guard hasLogprobs else { return values }
        try forEachPair { first, second, document, other in
            // A document's first row has no likelihood.
            for row in input.rows(document) where row > document.firstRow {
                let (x, y) = (first.logprob[row], second.logprob[other.firstRow + row - document.firstRow])
                guard !x.isNaN, !y.isNaN else { continue }
                let start = Column.count * document.index
                values[start + Column.first] -= Double(x)
                values[start + Column.second] -= Double(y)
                values[start + Column.tokens] += 1
            }
        }
        return values
    }

    /// - Parameter other: place of the layer in the second trace.
    func count(_ layer: LayerCounts, _ other: Int) throws(MetricError) -> LayerAgreement {
        let E = layer.experts
        let K = layer.slots
        let K2 = self.other.layout.expertsPerToken
        let otherRouter = RouterProbabilities(self.other.layout)
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
                    let p = input.router.row(row, of: cache.firstLogits)
                    let q = otherRouter.row(row2, of: cache.secondLogits)
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
        typealias Column = LayerAgreement.Column
        let C = Column.count
        result.values = [Double](repeating: 0, count: input.trace.documents.count * C)
        for (row, document) in zip(rows, documents) {
            let start = Int(document) * C
            result.values[start + Column.tokens] += 1
            result.values[start + Column.overlap] += Double(row.overlap)
            result.values[start + Column.sameSet] += row.sameSet ? 1 : 0
            result.values[start + Column.sameFirst] += row.sameFirst ? 1 : 0
            result.values[start + Column.divergence] += row.divergence
            guard !row.margin.isNaN else { continue }
            let decile = min(D - 1, edges[1..<D].reduce(0) { $0 + ($1 < row.margin ? 1 : 0) })
            result.values[start + Column.tokens(inDecile: decile)] += 1
            result.values[start + Column.flips(inDecile: decile)] += row.sameSet ? 0 : 1
        }
        return result
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
