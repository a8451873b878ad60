import Tensors
import Traces

/// Columns of the table of one layer: for each head the sums over tokens of its statistics, of its squared entropy, and of its
/// entropy times the router's; then the layer's own sums.
struct HeadColumns {
    let heads: Int

    private static let statistics = AttentionStatistic.allCases.count
    private static let perHead = statistics + 2

    /// - Parameter place: a place in `AttentionStatistic.allCases`.
    func statistic(_ place: Int, of head: Int) -> Int { head * Self.perHead + place }
    func place(of statistic: AttentionStatistic) -> Int { AttentionStatistic.allCases.firstIndex(of: statistic) ?? 0 }
    func entropy(of head: Int) -> Int { statistic(place(of: .entropy), of: head) }
    func squaredEntropy(of head: Int) -> Int { head * Self.perHead + Self.statistics }
    func entropyTimesRouter(of head: Int) -> Int { head * Self.perHead + Self.statistics + 1 }
    /// Tokens.
    var tokens: Int { heads * Self.perHead }
    /// The router's entropy.
    var router: Int { tokens + 1 }
    var squaredRouter: Int { tokens + 2 }
    var count: Int { tokens + 3 }
}

extension AttentionMetric {
    /// Numbers of all tables that are in memory at once: 256 MiB, or one table where it is larger.
    private static let tableBudget = 32_000_000

    /// One table per layer, with the columns of `HeadColumns`, one after the other.
    ///
    /// It reads the shards again: attention is a capture of its own, and counting it in the first pass would make every other
    /// metric read it. As many layers are read at once as memory has room for; of a trace of many documents and heads, one.
    static func forEachHeadTable(
        _ input: MetricInput, _ body: (LayerCounts, DocumentTable) -> Void
    ) throws(MetricError) {
        let C = HeadColumns(heads: input.trace.layout.heads).count
        let size = input.trace.documents.count * C
        let atOnce = max(1, tableBudget / max(1, size))
        for first in stride(from: 0, to: input.layers.count, by: atOnce) {
            let layers = Array(input.layers[first..<min(input.layers.count, first + atOnce)])
            let tables = DocumentSums(layers: layers.count, size: size)
            try input.forEachShard(definition.name) { shard in
                Parallel.forEach(layers.count, threads: input.settings.threads) { place in
                    add(shard, layers[place], input, to: tables.values[place])
                }
            }
            for (place, layer) in layers.enumerated() {
                body(layer, input.table(columns: C, values: Array(tables.values[place])))
            }
        }
    }

    private static func add(
        _ shard: MappedShard, _ layer: LayerCounts, _ input: MetricInput, to values: UnsafeMutableBufferPointer<Double>
    ) {
        let columns = HeadColumns(heads: input.trace.layout.heads)
        let C = columns.count
        let n = shard.rowCount
        let router = routerEntropies(shard, layer, input)
        var array: [Float] = []
        for (place, statistic) in AttentionStatistic.allCases.enumerated() {
            shard.readAttention(statistic, layer: layer.layer, into: &array)
            array.withUnsafeBufferPointer { array in
                for document in shard.documents {
                    let rows = input.rows(document)
                    for head in 0..<columns.heads {
                        let base = document.index * C
                        let own = base + columns.statistic(place, of: head)
                        let squared = base + columns.squaredEntropy(of: head)
                        let product = base + columns.entropyTimesRouter(of: head)
                        for row in rows {
                            let value = Double(array[head * n + row])
                            values[own] += value
                            guard statistic == .entropy else { continue }
                            values[squared] += value * value
                            values[product] += value * router[row]
                        }
                    }
                }
            }
        }
        for document in shard.documents {
            let base = document.index * C
            for row in input.rows(document) {
                values[base + columns.tokens] += 1
                values[base + columns.router] += router[row]
                values[base + columns.squaredRouter] += router[row] * router[row]
            }
        }
    }

    /// The router's entropy in every row of a shard, nats; 0 without router logits.
    private static func routerEntropies(_ shard: MappedShard, _ layer: LayerCounts, _ input: MetricInput) -> [Double] {
        var entropies = [Double](repeating: 0, count: shard.rowCount)
        guard shard.hasRouterLogits else { return entropies }
        let E = input.sample.experts
        var logits: [Float] = []
        shard.readRouterLogits(layerIndex: layer.layerIndex, into: &logits)
        withUnsafeTemporaryAllocation(of: Double.self, capacity: E) { p in
            p.initialize(repeating: 0)
            logits.withUnsafeBufferPointer { logits in
                for row in 0..<shard.rowCount {
                    let own = UnsafeBufferPointer(rebasing: logits[row * E..<(row + 1) * E])
                    entropies[row] = input.router.fill(p, from: own).entropyOfSums
                }
            }
        }
        return entropies
    }
}
