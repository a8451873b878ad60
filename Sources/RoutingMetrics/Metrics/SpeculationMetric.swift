import Tensors
import Traces

/// How many of a layer's experts could have been fetched early. Needs `--capture speculative`.
public struct SpeculationMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "speculation", title: "Experts guessed layers ahead",
        formula:
            "recall = Σ |Ŝ ∩ S| / Σ |S|, S the experts of layer l, Ŝ the K that layer l's own norm and router choose for the "
            + "residual stream that layer l−a's router reads, a = 1, 2, 10; chance: each document's guesses in a random order of its "
            + "tokens, Σ_e ĝ_e a_e / n of a document's n tokens, ĝ_e guesses and a_e choices of an expert; ratio is recall over that, and "
            + "its p-value asks whether the sum of hits less expected hits over documents is zero; beside it K/E, and the recall of always "
            + "guessing the layer's K most used experts, of the trace and (in hindsight) of the document",
        source:
            "\"Fast inference of mixture-of-experts models with offloading\" (arXiv 2312.17238), Figure 2, which prints no numbers"
    )

    public struct Row: Codable, Sendable, Equatable {
        /// Layers between the residual stream and the experts guessed from it.
        public var ahead: Int
        /// The layer guessed; nil: all that have a layer so far before them.
        public var layer: Int?
        public var documents: Int
        public var requests: Int
        /// nil where no captured layer has a layer so far before it.
        public var recall: Estimate?
        /// Recall of the layer's K most used experts as the guess for every token.
        public var popular: Estimate?
        /// The same with the K most used experts of each document, as they turn out to be.
        public var documentPopular: Estimate?
        /// `recall` against each document's guesses in a random order of its tokens.
        public var shuffled: ChanceComparison?
    }

    public var sample: MetricSample
    /// K/E: recall of a random guess.
    public var chance: Double
    /// By distance: all layers first, then each.
    public var rows: [Row]

    public var tables: [MetricTable] {
        [
            MetricTable(
                name: Self.definition.name, title: "Recall of experts guessed layers ahead",
                columns: [
                    MetricColumn("ahead", .integer, "layers from the residual stream to the experts guessed"),
                    MetricColumn("layer", .text, "the layer guessed, from 0, or \"all\" that can be"), .documents,
                    MetricColumn("requests", .integer, "experts chosen"),
                ] + MetricColumn.estimate("recall", "chosen experts that were guessed")
                    + MetricColumn.estimate("popular", "chosen experts that are the layer's K most used")
                    + MetricColumn.estimate(
                        "popular_document",
                        "chosen experts that are the layer's K most used of the document, in hindsight")
                    + MetricColumn.chance(
                        of: "recall", "recall if each document's guesses were made for its tokens in a random order")
                    + [MetricColumn("chance", .real, "K/E"), .note],
                rows: rows.map {
                    [
                        .integer($0.ahead), .text($0.layer.map(String.init) ?? "all"), .integer($0.documents),
                        .integer($0.requests),
                    ] + $0.recall.cells + $0.popular.cells + $0.documentPopular.cells + $0.shuffled.cells + [
                        .real(chance),
                        $0.recall == nil ? .text("no captured layer has one \($0.ahead) before it") : .missing,
                    ]
                })
        ]
    }

    /// - Throws: where the trace has no guesses.
    public static func compute(_ input: MetricInput) throws(MetricError) -> SpeculationMetric {
        let distances = input.trace.layout.speculative
        guard !distances.isEmpty else {
            throw MetricError(
                definition.name, "the trace \(input.trace.url.path) has no guesses",
                hint: "trace with --capture router_logits,speculative")
        }
        var rows: [Row] = []
        for ahead in distances {
            let guessed = input.layers.filter { $0.layer >= ahead }
            let hits = try hits(input, guessed, ahead)
            if let first = guessed.first {
                let stream = input.stream(definition.name, first, 100_000 + ahead)
                rows.append(row(input, guessed, hits, ahead, nil, stream))
            } else {
                rows.append(Row(ahead: ahead, layer: nil, documents: 0, requests: 0, recall: nil, popular: nil))
            }
            for (layer, own) in zip(guessed, hits) {
                let stream = input.stream(definition.name, layer, ahead)
                rows.append(row(input, [layer], [own], ahead, layer.layer, stream))
            }
        }
        for (place, p) in holm(rows.map(\.shuffled?.pValue)).enumerated() { rows[place].shuffled?.adjustedP = p }
        return SpeculationMetric(
            sample: input.sample,
            chance: Double(input.trace.layout.expertsPerGuess) / Double(max(1, input.sample.experts)), rows: rows)
    }

    /// Columns of what is counted of each document and layer.
    private enum Column {
        static let hits = 0
        /// Hits of the document's guesses in a random order of its tokens, on average.
        static let shuffled = 1
        static let requests = 2
        /// Requests of the document's most used experts.
        static let popular = 3
        static let count = 4
    }

    /// Counts the chosen experts that were guessed. It reads the shards again: guesses are a capture of its own.
    /// - Returns: [D, Column.count] for each layer.
    private static func hits(
        _ input: MetricInput, _ layers: [LayerCounts], _ ahead: Int
    ) throws(MetricError) -> [[Double]] {
        let (E, K, G) = (input.sample.experts, input.sample.expertsPerToken, input.trace.layout.expertsPerGuess)
        let tables = DocumentSums(layers: layers.count, size: input.tokens.count * Column.count)
        try input.forEachShard(definition.name) { shard in
            Parallel.forEach(layers.count, threads: input.settings.threads) { place in
                var chosen: [UInt16] = []
                var guesses: [UInt16] = []
                shard.readExpertIndices(layerIndex: layers[place].layerIndex, into: &chosen)
                guard shard.readGuesses(ahead: ahead, layer: layers[place].layer, into: &guesses) else { return }
                for document in shard.documents where !input.rows(document).isEmpty {
                    let rows = input.rows(document)
                    let used = layers[place].assignments[document.index * E..<(document.index + 1) * E]
                    var hits = 0
                    var shuffled = 0.0
                    for row in rows {
                        for guess in row * G..<(row + 1) * G where Int(guesses[guess]) < E {
                            shuffled += used[used.startIndex + Int(guesses[guess])]
                        }
                        for slot in row * K..<(row + 1) * K where Int(chosen[slot]) < E {
                            for guess in row * G..<(row + 1) * G where guesses[guess] == chosen[slot] { hits += 1 }
                        }
                    }
                    let table = tables.values[place]
                    let start = document.index * Column.count
                    table[start + Column.hits] = Double(hits)
                    table[start + Column.shuffled] = shuffled / Double(rows.count)
                    table[start + Column.requests] = used.reduce(0, +)
                    table[start + Column.popular] = used.sorted(by: >).prefix(G).reduce(0, +)
                }
            }
        }
        return layers.indices.map { Array(tables.values[$0]) }
    }

    /// - Parameter hits: [D, Column.count] for each layer.
    private static func row(
        _ input: MetricInput, _ layers: [LayerCounts], _ hits: [[Double]], _ ahead: Int, _ layer: Int?,
        _ stream: UInt64
    ) -> Row {
        let D = input.tokens.count
        var own = [Double](repeating: 0, count: D * Column.count)
        for table in hits { for (place, value) in table.enumerated() { own[place] += value } }
        let table = input.table(columns: Column.count, values: own)
        let G = table.groupCount
        let bootstrap = Bootstrap(
            table, settings: input.settings, stream: stream, width: 3,
            interval: { $0 == 2 ? .accelerated : .percentile }
        ) { sums, results in
            var all = [Double](repeating: 0, count: Column.count)
            for g in 0..<G { for c in 0..<Column.count { all[c] += sums[g * Column.count + c] } }
            let requests = all[Column.requests]
            results[0] = requests > 0 ? all[Column.hits] / requests : 0
            results[1] = all[Column.shuffled] > 0 ? all[Column.hits] / all[Column.shuffled] : .nan
            results[2] = requests > 0 ? all[Column.popular] / requests : 0
        }
        let sums = (0..<Column.count).map { column in (0..<D).reduce(0.0) { $0 + own[$1 * Column.count + column] } }
        // A document of one token has one order only.
        let documents = (0..<D).filter { input.tokens[$0] > 1 }
        let value = { (document: Int, column: Int) in own[document * Column.count + column] }
        let least = documents.reduce(0.0) { sum, document in
            let (expected, requests) = (value(document, Column.shuffled), value(document, Column.requests))
            return sum + (requests > 0 ? max(0, expected * (1 - expected / requests)) : 0)
        }
        let test = ChanceTest(documents, leastVariance: least) {
            (value($0, Column.hits) - value($0, Column.shuffled), value($0, Column.requests))
        }
        let hasChance = sums[Column.shuffled] > 0 && sums[Column.requests] > 0
        return Row(
            ahead: ahead, layer: layer, documents: D, requests: Int(sums[Column.requests]),
            recall: bootstrap.estimate(0, within: 0...1),
            popular: popular(input, layers, stream), documentPopular: bootstrap.estimate(2, within: 0...1),
            shuffled: hasChance
                ? ChanceComparison(
                    expected: sums[Column.shuffled] / sums[Column.requests],
                    ratio: bootstrap.estimate(1, within: 0...Double.infinity),
                    pValue: test?.pValue) : nil)
    }

    /// Recall of each layer's most used experts.
    private static func popular(_ input: MetricInput, _ layers: [LayerCounts], _ stream: UInt64) -> Estimate {
        let (E, guess) = (input.sample.experts, input.trace.layout.expertsPerGuess)
        let D = input.tokens.count
        // Every layer's assignments per document, so that replicates choose their own popular experts. One row for all
        // documents, without an interval, where that would be too large.
        let perDocument = D * layers.count * E <= MetricInput.pairBudget
        let C = layers.count * E
        var values = [Double](repeating: 0, count: (perDocument ? D : 1) * C)
        for document in 0..<D {
            let start = perDocument ? document * C : 0
            for (place, layer) in layers.enumerated() {
                for e in 0..<E { values[start + place * E + e] += layer.assignments[document * E + e] }
            }
        }
        let table = input.table(columns: C, values: values, perDocument: perDocument)
        let G = table.groupCount
        let chance = Double(guess) / Double(max(1, E))
        let bootstrap = Bootstrap(
            table, settings: input.settings, stream: stream, width: 2,
            interval: { $0 == 1 ? .debiased : .percentile }
        ) { sums, results in
            var (requests, easy) = (0.0, 0.0)
            for place in 0..<layers.count {
                var counts = [Double](repeating: 0, count: E)
                for g in 0..<G { for e in 0..<E { counts[e] += sums[g * C + place * E + e] } }
                requests += counts.reduce(0, +)
                easy += counts.sorted(by: >).prefix(guess).reduce(0, +)
            }
            results[0] = requests > 0 ? easy / requests : 0
            // The square, whose bias from noise does not depend on how uneven the load is.
            results[1] = (results[0] - chance) * (results[0] - chance)
        }
        return bootstrap.estimate(1, value: bootstrap.values[0], within: 0...1) { chance + max(0, $0).squareRoot() }
    }
}
