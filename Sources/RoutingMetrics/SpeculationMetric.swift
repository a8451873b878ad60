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
            var all = [Double](repeating: 0, count: 3 * input.tokens.count)
            var parts: [Row] = []
            for (layer, values) in zip(guessed, try counts(input, guessed, ahead)) {
                for i in all.indices { all[i] += values[i] }
                parts.append(row(input, values, ahead, layer.layer, input.stream(definition.name, layer, ahead)))
            }
            if guessed.isEmpty {
                rows.append(Row(ahead: ahead, layer: nil, documents: 0, requests: 0, recall: nil, popular: nil))
            } else {
                rows.append(row(input, all, ahead, nil, input.stream(definition.name, guessed[0], 100_000 + ahead)))
            }
            rows += parts
        }
        return SpeculationMetric(
            sample: input.sample,
            chance: Double(input.trace.layout.expertsPerGuess) / Double(max(1, input.sample.experts)), rows: rows)
    }

    /// Of every layer, per document: experts chosen, those that were guessed, those that are popular; [D, 3].
    private static func counts(
        _ input: MetricInput, _ layers: [LayerCounts], _ ahead: Int
    ) throws(MetricError) -> [[Double]] {
        let (E, K, G) = (input.sample.experts, input.sample.expertsPerToken, input.trace.layout.expertsPerGuess)
        let tables = DocumentSums(layers: layers.count, size: 3 * input.tokens.count)
        let popular = layers.map { layer in
            var sums = [Double](repeating: 0, count: E)
            for (i, count) in layer.assignments.enumerated() { sums[i % E] += count }
            return Set((0..<E).sorted { (sums[$1], $0) < (sums[$0], $1) }.prefix(G))
        }
        try input.forEachShard(definition.name) { shard in
            Parallel.forEach(layers.count, threads: input.settings.threads) { place in
                var chosen: [UInt16] = []
                var guesses: [UInt16] = []
                shard.readExpertIndices(layerIndex: layers[place].layerIndex, into: &chosen)
                guard shard.readGuesses(ahead: ahead, layer: layers[place].layer, into: &guesses) else { return }
                let isPopular = (0..<E).map { popular[place].contains($0) }
                for document in shard.documents {
                    var (requests, hits, easy) = (0, 0, 0)
                    for row in input.rows(document) {
                        for slot in row * K..<(row + 1) * K where Int(chosen[slot]) < E {
                            requests += 1
                            if isPopular[Int(chosen[slot])] { easy += 1 }
                            for guess in row * G..<(row + 1) * G where guesses[guess] == chosen[slot] { hits += 1 }
                        }
                    }
                    let start = 3 * document.index
                    tables.values[place][start] = Double(requests)
                    tables.values[place][start + 1] = Double(hits)
                    tables.values[place][start + 2] = Double(easy)
                }
            }
        }
        return layers.indices.map { Array(tables.values[$0]) }
    }

    private static func row(
        _ input: MetricInput, _ values: [Double], _ ahead: Int, _ layer: Int?, _ stream: UInt64
    ) -> Row {
        let table = input.table(columns: 3, values: values)
        let G = table.groupCount
        let bootstrap = Bootstrap(table, settings: input.settings, stream: stream, width: 2) { sums, results in
            let requests = (0..<G).reduce(0) { $0 + sums[3 * $1] }
            for k in 0..<2 {
                results[k] = requests > 0 ? (0..<G).reduce(0) { $0 + sums[3 * $1 + 1 + k] } / requests : 0
            }
        }
        let sums = table.sums
        return Row(
            ahead: ahead, layer: layer, documents: table.documentCount,
            requests: Int((0..<G).reduce(0) { $0 + sums[3 * $1] }), recall: bootstrap.estimate(0),
            popular: bootstrap.estimate(1))
    }
}
