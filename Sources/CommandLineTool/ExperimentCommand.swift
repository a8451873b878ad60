import ArgumentParser
import Experiments
import FileFormats
import Foundation
import MoEModel
import ReportGenerator
import RoutingMetrics
import Tracing

struct ExperimentCommand: ParsableCommand {
    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case ablation
        case steering
        case topK = "top-k"
        case randomRouting = "random-routing"
        case plan
    }

    static let configuration = CommandConfiguration(
        commandName: "experiment",
        abstract: "Change the routing and measure what it costs every group, beside controls.",
        discussion: """
            The untouched model and every variant run over the same documents; differences of the negative log-likelihood \
            are paired by document. ablation takes each group's most distinctive expert in every layer away, and beside it \
            random other experts that meet the same share of the group's tokens, the same experts in another layer, and the \
            other groups' experts. For ablation and steering, one half of the documents (parallel sets together) chooses \
            the experts and the other half is scored.

            Examples:
              moescope experiment ablation polyglot --corpus Models/polyglot/heldout.jsonl --output ablation
              moescope experiment top-k polyglot --corpus c.jsonl --output topk --max-documents 20
              moescope experiment plan polyglot --corpus c.jsonl --output mine --plan plan.json
            """)

    @Argument(help: "ablation, steering, top-k, random-routing, or plan (with --plan).")
    var kind: Kind

    @Argument(help: .model)
    var model: String

    @Option(help: ArgumentHelp("As moescope trace takes it.", valueName: "path"))
    var corpus: String

    @Option(name: .shortAndLong, help: ArgumentHelp("Folder for plan, results and tables.", valueName: "folder"))
    var output: String

    @Option(
        help: ArgumentHelp(
            "A plan file: {\"kind\",\"seed\",\"arms\":[{\"name\",\"role\",\"changes\"}]}.", valueName: "file"))
    var plan: String?

    @Option(help: ArgumentHelp("Layers to change, e.g. 2-4 (default: all).", valueName: "list"))
    var layers: String?

    @Option(help: ArgumentHelp("A group's own experts per layer.", valueName: "n"))
    var expertsPerLayer = 1

    @Option(
        help: ArgumentHelp(
            "Random controls of each group; how much they differ is part of the interval.", valueName: "n"))
    var randomControls = 20

    @Option(help: ArgumentHelp("For steering: standard deviations added to the router logits.", valueName: "x"))
    var strength = 1.0

    @Option(
        help: ArgumentHelp(
            "For top-k: experts per token, e.g. 1,2,4 (default: 1 to twice the model's).", valueName: "list"))
    var counts: String?

    @Flag(help: "For ablation: every expert of every layer by itself as well.")
    var matrix = false

    @Flag(help: "For ablation: divide the weights of the experts left by their sum.")
    var renormalize = false

    @Option(help: .precision)
    var precision: Precision = .fast

    @Option(help: ArgumentHelp("Cut documents to this many tokens.", valueName: "n"))
    var maxTokens: Int?

    @Option(
        help: ArgumentHelp(
            "Documents of each group at most; for ablation and steering, those that choose included.", valueName: "n"))
    var maxDocuments: Int?

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @OptionGroup var statistics: StatisticsOptions

    @Flag(help: "Continue an interrupted run of the same plan.")
    var resume = false

    @Flag(help: "Print one JSON object: the files written, what was found, and the tables.")
    var json = false

    @Flag(help: "Print the tables as CSV, one after the other, each with a comment line before it.")
    var csv = false

    func validate() throws {
        guard !(json && csv) else { throw ValidationError("--json or --csv, not both") }
        guard (kind == .plan) == (plan != nil) else { throw ValidationError("--plan goes with the kind \"plan\"") }
        for (name, value) in [
            ("--max-tokens", maxTokens), ("--max-documents", maxDocuments), ("--threads", threads),
            ("--experts-per-layer", expertsPerLayer),
        ] {
            if let value, value < 1 { throw ValidationError("\(name): expected at least 1, found \(value)") }
        }
        guard randomControls >= 0 else {
            throw ValidationError("--random-controls: expected 0 or more, found \(randomControls)")
        }
    }

    func run() throws {
        let loaded = try LoadedModel(model, precision: precision, threads: threads).sayingNotices()
        let run = try ExperimentRun(
            model: loaded.model, tokenizer: loaded.tokenizer,
            corpus: try loaded.readCorpus(corpus, maximumTokens: maxTokens), maximumTokens: maxTokens,
            maximumDocuments: maxDocuments)
        let plan = try makePlan(run)
        let line = ProgressLine("experiment", unit: "passes")
        let before = InterruptFlag.install()
        defer { InterruptFlag.restore(before) }
        let folder = URL(filePath: output)
        let likelihoods: ExperimentLikelihoods
        do {
            likelihoods = try run.run(
                plan, into: folder, resume: resume, progress: { line.update($0, of: $1) },
                isCancelled: { InterruptFlag.isSet })
        } catch is CancellationError {
            line.finish()
            say("stopped; the passes made so far are safe. Go on with: the same command and --resume")
            throw ExitCode(InterruptFlag.exitCode)
        }
        line.finish()
        var settings = MetricSettings()
        statistics.apply(to: &settings)
        let result = ExperimentResult(
            plan, likelihoods, groupOf: run.corpus.documents.map(\.group), ids: run.corpus.documents.map(\.id),
            parallel: run.corpus.documents.map(\.parallelID), clusters: run.corpus.documents.map(\.cluster),
            settings: settings)
        // Files first: they are whole, whatever becomes of standard output.
        try result.write(to: folder)
        let scored = likelihoods.tokens.reduce(0) { $0 + ($1 > 0 ? 1 : 0) }
        let files = ["plan.json", "nll.jsonl", "result.json"] + result.tables.map { "\($0.name).csv" }
        say("\(output): \(files.joined(separator: ", "))")
        if json {
            try print(
                ExperimentSummary(
                    result, folder: output, files: files, documents: scored,
                    tokens: likelihoods.tokens.reduce(0, +)
                ).prettyJSON(keys: .convertToSnakeCase))
            return
        }
        if csv {
            for table in result.tables { try print("# \(table.name)\n\(table.csv)", terminator: "") }
            return
        }
        for table in result.tables { try print(table.text(limit: 60)) }
        for sentence in ContrastProse(result).sentences ?? [] { try print(sentence) }
        try print(
            "\(Prose.plural(scored, "document")) scored, \(Prose.plural(likelihoods.tokens.reduce(0, +), "token")) predicted"
                + (plan.split.map { "; experts were chosen on \(Prose.count($0.choosing.count)) other documents" } ?? "")
                + ". 95 % intervals from \(Prose.plural(settings.bootstrap, "bootstrap")) over documents, and over draws where controls are "
                + "random; p-values from \(Prose.plural(settings.permutations, "sign flip")), or studentized from those bootstraps; seed \(settings.seed)"
        )
    }

    private func makePlan(_ run: ExperimentRun) throws -> ExperimentPlan {
        if let plan { return try ExperimentPlan.read(URL(filePath: plan)) }
        let config = run.model.config
        var design = ExperimentPlan.Design(
            layers: try layers.map { try parseIntegers($0, option: "--layers") } ?? config.expertLayers)
        for layer in design.layers where (0..<config.layerCount).contains(layer) && !config.expertLayers.contains(layer)
        {
            throw ValidationError("--layers: layer \(layer) is dense, it has no router")
        }
        for layer in design.layers where !(0..<config.layerCount).contains(layer) {
            throw ValidationError(
                "--layers: layer \(layer) is out of range, the model has 0 to \(config.layerCount - 1)")
        }
        design.expertsPerLayer = expertsPerLayer
        design.randomControls = randomControls
        design.strength = strength
        design.renormalize = renormalize
        design.matrix = matrix
        design.seed = statistics.seed
        return try run.plan(
            ExperimentPlan.Kind(rawValue: kind.rawValue) ?? .randomRouting, design,
            counts: try counts.map { try parseIntegers($0, option: "--counts") })
    }
}
