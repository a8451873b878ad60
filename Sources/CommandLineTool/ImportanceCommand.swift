import ArgumentParser
import Checkpoints
import Foundation
import MoEModel
import Quantization
import ReportGenerator
import Tracing

struct ImportanceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "importance",
        abstract: "Measure what a model's matrices are multiplied with, to quantize with it.",
        discussion: """
            Mean squares of every input column over a corpus, of each expert over the tokens routed to it, in the format \
            of llama.cpp's llama-imatrix: either program's file serves the other.

            Example:
              moescope importance polyglot --corpus Models/polyglot/heldout.jsonl --output imatrix.gguf
              moescope quantize polyglot --type Q2_K --importance imatrix.gguf --output polyglot-Q2_K.gguf
            """)

    @Argument(help: .model)
    var model: String

    @Option(
        help: ArgumentHelp(
            "JSON Lines {\"id\",\"group\",\"text\"}, a folder of .txt files, or - for standard input; pipes and gzip files too.",
            valueName: "path"))
    var corpus: String

    @Option(name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"))
    var output: String

    @Option(help: .precision)
    var precision: Precision = .fast

    @Option(help: ArgumentHelp("Cut documents to this many tokens.", valueName: "n"))
    var maxTokens = 512

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    func validate() throws {
        if maxTokens < 1 { throw ValidationError("--max-tokens: expected at least 1, found \(maxTokens)") }
        if let threads, threads < 1 { throw ValidationError("--threads: expected at least 1, found \(threads)") }
    }

    func run() throws {
        let loaded = try LoadedModel(model, precision: precision, threads: threads).sayingNotices()
        let corpus = try TokenizedCorpus(
            try loaded.readCorpus(corpus, maximumTokens: maxTokens), tokenizer: loaded.tokenizer,
            config: loaded.model.config, maximumTokens: maxTokens)
        let fitting = loaded.model.waveRows(memory: MachineMemory.available / 4 * 3, recordedBytesPerRow: 0)
        let statistics = ActivationStatistics()
        let progress = ProgressLine("measuring", unit: "tokens")
        var done = 0
        for wave in corpus.waves(of: min(fitting, 4096)) {
            let batch = corpus.batch(wave)
            try loaded.model.measure(batch, into: statistics)
            done += batch.rowCount
            progress.update(done, of: corpus.totalTokens)
        }
        progress.finish()
        let matrix = ImportanceMatrix(
            statistics, of: loaded.model.checkpoint, datasets: [corpus.corpus.source], chunkCount: corpus.tokens.count,
            chunkSize: maxTokens)
        try loaded.model.checkUnchanged()
        try matrix.write(to: URL(filePath: output))
        try print("\(output): \(matrix.entries.count) tensors, \(Prose.count(corpus.totalTokens)) tokens")
        let experts = loaded.model.config.experts.count * loaded.model.config.expertLayers.count
        let reached = statistics.sums.keys.count { if case .expert = $0 { true } else { false } }
        if reached < experts {
            say("\(experts - reached) of \(experts) experts saw no token; they are weighted evenly")
        }
    }
}

extension ImportanceMatrix {
    /// What the forward pass summed, under the names of GGUF tensors.
    init(
        _ statistics: ActivationStatistics, of checkpoint: Checkpoint, datasets: [String], chunkCount: Int,
        chunkSize: Int
    ) {
        var entries: [String: Entry] = [:]
        func entry(_ inputs: [ActivationStatistics.Input], columns: Int) -> Entry {
            let sums = inputs.map { statistics.sums[$0] }
            return Entry(
                sums: sums.flatMap { $0?.squares.map(Float.init) ?? Array(repeating: 0, count: columns) },
                counts: sums.map { Float($0?.rows ?? 0) })
        }
        func add(_ roles: [TensorRole], _ layer: Int?, _ inputs: [ActivationStatistics.Input]) {
            guard let columns = inputs.compactMap({ statistics.sums[$0]?.squares.count }).first else { return }
            for role in roles {
                entries[checkpoint.config.ggufName(role, layer: layer)] = entry(inputs, columns: columns)
            }
        }
        let experts = 0..<checkpoint.config.experts.count
        let gates: [TensorRole] = checkpoint.config.attention.gatesHeads ? [.attentionGate] : []
        for layer in 0..<checkpoint.config.layerCount {
            add([.query, .key, .value] + gates, layer, [.attention(layer: layer)])
            add([.attentionOutput], layer, [.attentionOutput(layer: layer)])
            add([.expertGate, .expertUp], layer, experts.map { .expert(layer: layer, $0) })
            add([.expertDown], layer, experts.map { .expertDown(layer: layer, $0) })
            add([.denseGate, .denseUp], layer, [.dense(layer: layer)])
            add([.denseDown], layer, [.denseDown(layer: layer)])
            add([.sharedGate, .sharedUp], layer, [.sharedExpert(layer: layer)])
            add([.sharedDown], layer, [.sharedExpertDown(layer: layer)])
        }
        add([.output], nil, [.output])
        self.init(entries: entries, datasets: datasets, chunkCount: chunkCount, chunkSize: chunkSize)
    }
}
