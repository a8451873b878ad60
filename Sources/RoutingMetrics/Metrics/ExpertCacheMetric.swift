import Tensors
import Traces

/// How often an expert is already in a cache of few slots, where a model's experts are fetched on demand.
public struct ExpertCacheMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "expert-cache", title: "Expert cache",
        formula:
            "hits / requests with c slots per layer, decoding order, the K experts of a token by falling weight, an empty cache at "
            + "each document's start; LRU: least recently used out; LFU: least often used so far out; Belady: latest next use out (the best possible)",
        source: "policies as in \"Fast inference of mixture-of-experts models with offloading\" (arXiv 2312.17238); "
            + "all sizes in one pass by Mattson's stack algorithm (1970)")

    public enum Policy: String, Codable, Sendable, CaseIterable {
        case lru
        case lfu
        case belady
    }

    public struct Row: Codable, Sendable, Equatable {
        public var layer: Int
        public var policy: Policy
        public var slots: Int
        public var documents: Int
        public var requests: Int
        public var hitRatio: Estimate
    }

    public var sample: MetricSample
    /// By layer, policy, slots.
    public var rows: [Row]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Hit ratio of an expert cache",
                columns: [
                    .layer, MetricColumn("policy", .text, "what leaves a full cache"),
                    MetricColumn("slots", .integer, "experts that fit, per layer"), .documents,
                    MetricColumn("requests", .integer, "experts asked for"),
                ] + MetricColumn.estimate("hit_ratio", "requests that found their expert in the cache"),
                rows: rows.map {
                    [
                        .integer($0.layer), .text($0.policy.rawValue), .integer($0.slots), .integer($0.documents),
                        .integer($0.requests),
                    ] + $0.hitRatio.cells
                })
        ]
    }

    /// Requests simulated per layer at most; of a larger trace, evenly spread documents are taken.
    static let requestBudget = 4_000_000
    /// Cache sizes shown: every one up to here, powers of two beyond.
    static let everySlotUpTo = 16

    /// Reads the shards again: a cache sees requests in order, which counts do not keep.
    public static func compute(_ input: MetricInput) throws(MetricError) -> ExpertCacheMetric {
        let E = input.sample.experts
        let K = input.sample.expertsPerToken
        let policies = Policy.allCases
        // Every n-th document; each position makes K requests.
        let stride = max(1, (input.sample.tokens * K + requestBudget - 1) / requestBudget)
        let isTaken = input.everyNth(stride)
        let taken = input.trace.documents.filter { isTaken[$0.index] && !input.rows($0).isEmpty }
        // Per document and policy: hits by stack distance 1…E, then requests.
        let columns = policies.count * E + 1
        var number = [Int](repeating: -1, count: input.trace.documents.count)
        for (place, document) in taken.enumerated() { number[document.index] = place }
        let numberOf = number
        let tables = DocumentSums(layers: input.layers.count, size: taken.count * columns)
        try input.forEachShard(definition.name) { shard in
            Parallel.forEach(input.layers.count, threads: input.settings.threads) { place in
                var chosen: [UInt16] = []
                shard.readExpertIndices(layerIndex: input.layers[place].layerIndex, into: &chosen)
                var simulation = StackSimulation(experts: E)
                for document in shard.documents where numberOf[document.index] >= 0 {
                    let rows = input.rows(document)
                    let requests = chosen[rows.lowerBound * K..<rows.upperBound * K].map(Int.init).filter { $0 < E }
                    let start = numberOf[document.index] * columns
                    for (policy, kind) in policies.enumerated() {
                        simulation.run(requests, kind) { tables.values[place][start + policy * E + $0] += 1 }
                    }
                    tables.values[place][start + columns - 1] += Double(requests.count)
                }
            }
        }
        let sizes = (1...max(1, E)).filter { $0 <= everySlotUpTo || $0 & ($0 - 1) == 0 || $0 == E }
        var rows: [Row] = []
        for (place, layer) in input.layers.enumerated() {
            let table = DocumentTable(
                columns: columns, groupCount: 1, group: [Int](repeating: 0, count: taken.count),
                values: Array(tables.values[place]), design: input.design.restricted(to: taken.map(\.index)))
            let bootstrap = Bootstrap(
                table, settings: input.settings, stream: input.stream(definition.name, layer),
                width: policies.count * sizes.count
            ) { sums, results in
                for policy in policies.indices {
                    var hits = 0.0
                    var next = 0
                    for (s, size) in sizes.enumerated() {
                        while next < size {
                            hits += sums[policy * E + next]
                            next += 1
                        }
                        results[policy * sizes.count + s] = sums[columns - 1] > 0 ? hits / sums[columns - 1] : 0
                    }
                }
            }
            let requests = Int(table.sums[columns - 1])
            for (p, policy) in policies.enumerated() {
                for (s, size) in sizes.enumerated() {
                    rows.append(
                        Row(
                            layer: layer.layer, policy: policy, slots: size, documents: taken.count, requests: requests,
                            hitRatio: bootstrap.estimate(p * sizes.count + s, within: 0...1)))
                }
            }
        }
        return ExpertCacheMetric(sample: input.sample, rows: rows)
    }
}

/// Mattson's stack: after each request, the first c entries are what a cache of c slots holds, for every c at once.
struct StackSimulation {
    let experts: Int
    /// Most deserving first; `depth` entries in use.
    private var stack: [Int]
    private var priority: [Int]
    private var uses: [Int]

    init(experts: Int) {
        self.experts = experts
        stack = Array(repeating: 0, count: experts)
        priority = stack
        uses = stack
    }

    /// - Parameter hit: told the stack distance, from 0: a cache of more slots than that had the expert.
    mutating func run(_ requests: [Int], _ policy: ExpertCacheMetric.Policy, hit: (Int) -> Void) {
        var depth = 0
        let nextUse = policy == .belady ? Self.nextUses(requests, experts: experts) : []
        for expert in 0..<experts {
            priority[expert] = 0
            uses[expert] = 0
        }
        for (time, expert) in requests.enumerated() {
            uses[expert] += 1
            // The larger stays.
            switch policy {
            case .lru: priority[expert] = time
            // Equally often used: the more recent stays.
            case .lfu: priority[expert] = uses[expert] * (requests.count + 1) + time
            case .belady: priority[expert] = -nextUse[time]
            }
            var place = 0
            while place < depth, stack[place] != expert { place += 1 }
            if place < depth { hit(place) } else { depth += 1 }
            // The requested expert goes to the top; at every place above its old one the less deserving of two sinks.
            guard place > 0 else {
                stack[0] = expert
                continue
            }
            var sinking = stack[0]
            stack[0] = expert
            for level in 1..<place where priority[stack[level]] < priority[sinking] {
                swap(&stack[level], &sinking)
            }
            stack[place] = sinking
        }
    }

    /// Time of the next request for the same expert; past the end where there is none.
    private static func nextUses(_ requests: [Int], experts: Int) -> [Int] {
        var upcoming = [Int](repeating: Int.max / 2, count: experts)
        var result = [Int](repeating: 0, count: requests.count)
        for time in requests.indices.reversed() {
            result[time] = upcoming[requests[time]]
            upcoming[requests[time]] = time
        }
        return result
    }
}
