import Tensors
import Traces

/// How many of a layer's experts could have been fetched early. Needs `--capture speculative`.
public struct SpeculationMetric: MetricResult, Equatable {
    public static let definition = MetricDefinition(
        name: "speculation", title: "Experts guessed layers ahead",
        formula:
            "recall = Σ |Ŝ ∩ S| / Σ |S|, S the experts of layer l, Ŝ the K that layer l's own norm and router choose for the "
            + "residual stream that layer l−a's router reads, a = 1, 2, 10; beside it K/E, and the recall of always guessing the "
            + "layer's K most used experts",
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
                    + [MetricColumn("chance", .real, "K/E"), .note],
                rows: rows.map {
                    [
                        .integer($0.ahead), .text($0.layer.map(String.init) ?? "all"), .integer($0.documents),
                        .integer($0.requests),
                    ] + $0.recall.cells + $0.popular.cells + [
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
        return SpeculationMetric(
            sample: input.sample,
            chance: Double(input.trace.layout.expertsPerGuess) / Double(max(1, input.sample.experts)), rows: rows)
    }

    /// Counts the chosen experts that were guessed. It reads the shards again: guesses are a capture of its own.
    /// - Returns: a value per document for each layer.
    private static func hits(
        _ input: MetricInput, _ layers: [LayerCounts], _ ahead: Int
    ) throws(MetricError) -> [[Double]] {
        let (E, K, G) = (input.sample.experts, input.sample.expertsPerToken, input.trace.layout.expertsPerGuess)
        let tables = DocumentSums(layers: layers.count, size: input.tokens.count)
        try input.forEachShard(definition.name) { shard in
            Parallel.forEach(layers.count, threads: input.settings.threads) { place in
                var chosen: [UInt16] = []
                var guesses: [UInt16] = []
                shard.readExpertIndices(layerIndex: layers[place].layerIndex, into: &chosen)
                guard shard.readGuesses(ahead: ahead, layer: layers[place].layer, into: &guesses) else { return }
                for document in shard.documents {
                    var hits = 0
                    for row in input.rows(document) {
                        for slot in row * K..<(row + 1) * K where Int(chosen[slot]) < E {
                            for guess in row * G..<(row + 1) * G where guesses[guess] == chosen[slot] { hits += 1 }
                        }
                    }
                    tables.values[place][document.index] = Double(hits)
                }
            }
        }
        return layers.indices.map { Array(tables.values[$0]) }
    }

    /// - Parameter hits: a value per document for each layer.
    private static func row(
        _ input: MetricInput, _ layers: [LayerCounts], _ hits: [[Double]], _ ahead: Int, _ layer: Int?,
        _ stream: UInt64
    ) -> Row {
        let (E, guess) = (input.sample.experts, input.trace.layout.expertsPerGuess)
        let D = input.tokens.count
        // Per document: hits, and every layer's assignments, so that replicates choose their own popular experts. One row
        // for all documents, without an interval, where that would be too large.
        let perDocument = D * layers.count * E <= MetricInput.pairBudget
        let C = 1 + layers.count * E
        var values = [Double](repeating: 0, count: (perDocument ? D : 1) * C)
        for document in 0..<D {
            let start = perDocument ? document * C : 0
            for (place, layer) in layers.enumerated() {
                values[start] += hits[place][document]
                for e in 0..<E { values[start + 1 + place * E + e] += layer.assignments[document * E + e] }
            }
        }
        let table = input.table(columns: C, values: values, perDocument: perDocument)
        let G = table.groupCount
        let chance = Double(guess) / Double(max(1, E))
        let bootstrap = Bootstrap(
            table, settings: input.settings, stream: stream, width: 3,
            interval: { $0 == 2 ? .debiased : .percentile }
        ) { sums, results in
            var (requests, hits, easy) = (0.0, 0.0, 0.0)
            for g in 0..<G { hits += sums[g * C] }
            for place in 0..<layers.count {
                var counts = [Double](repeating: 0, count: E)
                for g in 0..<G { for e in 0..<E { counts[e] += sums[g * C + 1 + place * E + e] } }
                requests += counts.reduce(0, +)
                easy += counts.sorted(by: >).prefix(guess).reduce(0, +)
            }
            results[0] = requests > 0 ? hits / requests : 0
            results[1] = requests > 0 ? easy / requests : 0
            // The square, whose bias from noise does not depend on how uneven the load is.
            results[2] = (results[1] - chance) * (results[1] - chance)
        }
        let requests = layers.reduce(0.0) { $0 + $1.assignments.reduce(0, +) }
        return Row(
            ahead: ahead, layer: layer, documents: D, requests: Int(requests), recall: bootstrap.estimate(0),
            popular: bootstrap.estimate(2, value: bootstrap.values[1]) { chance + max(0, $0).squareRoot() })
    }
}
