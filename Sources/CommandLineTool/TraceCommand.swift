import ArgumentParser
import Checkpoints
import Foundation
import Hooks
import MoEModel
import ReportGenerator
import Tokenizers
import Traces
import Tracing

struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Run a model over a corpus and record how it routes every token.",
        discussion: """
            The trace is a folder of JSON and safetensors files (see `moescope report` for what to do with it). \
            Stopping with Ctrl-C loses at most the wave in flight; --resume goes on from there.

            A line of the corpus has "text" or "tokens", and optionally "id", "group" (the language or domain), \
            "parallel_id" (the same text in another group has the same) and "cluster" (source, manual or author: \
            documents of one cluster are not independent of each other).

            Examples:
              moescope trace polyglot --corpus Models/polyglot/heldout.jsonl --output traces/demo
              moescope trace ~/Mixtral-8x7B-v0.1 --corpus texts/ --output traces/mixtral --max-tokens 512
              moescope trace polyglot --corpus c.jsonl --output t --capture router_logits,attention_pattern:3.*
              moescope trace polyglot --corpus news.parquet --text-column body --group-column lang --sample 500 --output t
              cat c.jsonl | moescope trace polyglot --corpus - --output traces/piped
            """)

    @Argument(help: .model)
    var model: String

    @Option(
        help: ArgumentHelp(
            "JSON Lines {\"id\",\"group\",\"text\"}, a folder of .txt files, or - for standard input; pipes and gzip files too. "
                + "With pyarrow also Parquet, Arrow, CSV, .zst and folders that Hugging Face datasets saved.",
            valueName: "path"))
    var corpus: String

    @OptionGroup(title: "Columns and choice of documents") var corpusOptions: CorpusOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("Folder to write the trace to.", valueName: "folder"))
    var output: String

    @Option(
        help: ArgumentHelp(
            "What to record, comma-separated: router_logits, router_logits_f16, attention_summary, "
                + "predicted (most probable next token), speculative (experts guessed 1, 2 and 10 layers ahead), "
                + "attention_pattern:LAYER.HEAD (* for every layer or head; attention_pattern:* for all), none. Chosen experts and their weights are always recorded.",
            valueName: "list"))
    var capture = "router_logits"

    @Option(help: .precision)
    var precision: Precision = .fast

    @Option(help: ArgumentHelp("Record only these layers, e.g. 0,3,5 (default: all).", valueName: "list"))
    var layers: String?

    @Option(help: ArgumentHelp("Cut documents to this many tokens (default: the model's context).", valueName: "n"))
    var maxTokens: Int?

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("Memory to use, e.g. 12G (default: three quarters of what is free).", valueName: "size"))
    var memory: ByteSize?

    @Option(help: ArgumentHelp("Tokens per wave (default: chosen from the memory).", valueName: "n"))
    var waveTokens: Int?

    @Flag(help: "Continue a partial trace of the same run.")
    var resume = false

    func validate() throws {
        for (name, value) in [("--max-tokens", maxTokens), ("--threads", threads), ("--wave-tokens", waveTokens)] {
            if let value, value < 1 { throw ValidationError("\(name): expected at least 1, found \(value)") }
        }
    }

    func run() throws {
        let loaded = try LoadedModel(model, precision: precision, threads: threads, memory: memory?.bytes)
            .sayingNotices()
        var options = try TraceOptions(capture: capture, config: loaded.model.config)
        options.layers = try layers.map { try parseIntegers($0, option: "--layers") }
        options.maximumTokens = maxTokens
        options.waveTokens = waveTokens
        options.memory = memory?.bytes
        let run = try TraceRun(
            model: loaded.model, tokenizer: loaded.tokenizer,
            corpus: try corpusOptions.read(corpus, loaded, maximumTokens: maxTokens), options: options,
            version: Moescope.version)
        let size = run.projectedBytes + run.projectedPatternBytes
        say(
            "\(loaded.model.checkpoint.name): \(Prose.plural(run.tokens.count, "document")), "
                + "\(Prose.plural(run.totalTokens, "token")), \(precision.rawValue) precision, "
                + "\(Prose.plural(loaded.model.threadCount, "thread")) (\(Model.instructionSet)); the trace takes about \(byteText(size))"
        )

        describeWaves(run, loaded.model)
        warnOfMemory(run, loaded.model)

        let line = ProgressLine("tracing", unit: "tokens")
        let started = ContinuousClock.now
        let before = InterruptFlag.install()
        defer { InterruptFlag.restore(before) }
        var resumedAt: Int?
        func show(_ state: TraceRun.Progress) {
            resumedAt = resumedAt ?? state.tokens
            line.update(
                state.tokens, of: state.totalTokens,
                detail: "\(Prose.count(state.documents))/\(Prose.count(state.totalDocuments)) documents")
        }
        do {
            try run.run(
                into: URL(filePath: output), resume: resume,
                progress: show, working: show, isCancelled: { InterruptFlag.isSet })
        } catch is CancellationError {
            line.finish()
            say("stopped; the waves written so far are safe. Go on with: the same command and --resume")
            throw ExitCode(InterruptFlag.exitCode)
        }
        line.finish()
        let seconds = ProgressLine.seconds(ContinuousClock.now - started)
        let traced = run.totalTokens - (resumedAt ?? 0)
        say(
            "\(output): complete, \(Prose.plural(traced, "token")) in \(String(format: "%.1f", seconds)) s "
                + "(\(Prose.count(Int(Double(traced) / max(seconds, 1e-9)))) tokens/s). "
                + "Next: moescope report \(output) --html report.html")
    }
}

extension TraceCommand {
    /// A budget below what the smallest wave takes cannot be kept.
    private func warnOfMemory(_ run: TraceRun, _ model: Model) {
        guard let memory, run.plannedBytes > memory.bytes else { return }
        say(
            "warning: --memory \(Inspection.bytes(memory.bytes)) is too little; waves of \(Prose.plural(run.waveTokens, "token")) take about "
                + "\(Inspection.bytes(run.plannedBytes)) with this model")
    }

    /// For models that are read from disk again and again: what a wave costs, before it starts.
    private func describeWaves(_ run: TraceRun, _ model: Model) {
        guard model.streamsWeights else { return }
        let rows = min(run.waveTokens, run.totalTokens)
        let waves = (run.totalTokens + run.waveTokens - 1) / run.waveTokens
        let operations = 2 * Double(model.checkpoint.parametersActive) * Double(rows)
        say(
            "the weights (\(byteText(model.checkpoint.weightBytes))) do not fit the memory and are read once per wave: "
                + "\(Prose.plural(waves, "wave")) of up to \(Prose.count(rows)) tokens, each "
                + "\(byteText(model.checkpoint.weightBytes)) of disk and \(String(format: "%.1f", operations / 1e12)) "
                + "TFLOP of arithmetic. Larger waves (--memory) need fewer reads")
    }
}

extension Precision: ExpressibleByArgument {}

extension CacheType: ExpressibleByArgument {}

/// "0,3,5" → [0, 3, 5]; "2-4" → [2, 3, 4].
func parseIntegers(_ text: String, option: String) throws -> [Int] {
    var numbers: [Int] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        switch ends.count {
        case 1:
            guard let number = ends[0] else { throw ValidationError("\(option): expected numbers, found \"\(part)\"") }
            numbers.append(number)
        case 2:
            guard let first = ends[0], let last = ends[1], first <= last else {
                throw ValidationError("\(option): expected a range such as 2-4, found \"\(part)\"")
            }
            // No model has as many layers.
            guard last - first < 100_000 else {
                throw ValidationError("\(option): expected fewer than 100,000 numbers, found \"\(part)\"")
            }
            numbers.append(contentsOf: first...last)
        default: throw ValidationError("\(option): expected numbers, found \"\(part)\"")
        }
    }
    return numbers
}
