import ArgumentParser
import Foundation

struct ImportCommand: ParsableCommand {
    enum Record: String, CaseIterable, ExpressibleByArgument, Encodable {
        case vllm, sglang, megatron, npz, parquet
        case llamaMoETrace = "llama-moe-trace"
    }

    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make a trace of routing that another program recorded.",
        discussion: """
            Metrics and reports then work as for a trace of our own. What the record lacks (weights, logits, log-probabilities, \
            token ids) stays absent and is never counted as zero: a metric that needs it is left out, and says so.

            --from says who wrote the files:
              vllm             a JSON line for each request, or .npz: routed_experts [tokens, expert layers, K], token ids beside it
              sglang           the expert distribution recorder's .pt files, mode per_token (for other modes: --load-only)
              llama-moe-trace  llama.cpp's CSV: phase,token,layer,rank,expert; a file is a document
              megatron         the inference engine's JSON or JSON lines with routing_indices
              npz              NumPy archives: experts [tokens, layers, K], and whichever is there of weights, logits, token, logprob, …
              parquet          tables tokens and routing, as `moescope export` writes them

            --model takes the model's config.json (Hugging Face's, or a folder that holds it), or a card with the fields name, \
            layers, experts, experts_per_token, and optionally moe_layers, vocab_size and others of a manifest's model.

            Examples:
              moescope import --from vllm requests.jsonl --model DeepSeek-V3/config.json --output traces/dsv3
              moescope import --from sglang expert_distribution_recorder_*.pt --model card.json --output traces/served
              moescope import --from sglang counts.pt --load-only --model card.json --output tables/served
              moescope import --from parquet exported/ --output traces/again
            """)

    @Argument(help: ArgumentHelp("Files of the record, or folders that hold them.", valueName: "file"))
    var files: [String]

    @Option(
        help: ArgumentHelp(
            "Who wrote them: \(Record.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "writer"))
    var from: Record

    @Option(
        help: ArgumentHelp(
            "The model's config.json, or a card. An export of our own brings its own.", valueName: "file"))
    var model: String?

    @Option(help: ArgumentHelp("The group of all documents that name none: a language, a domain.", valueName: "name"))
    var group: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("Folder to write the trace to.", valueName: "folder"))
    var output: String

    @Flag(
        help:
            "Only tables of expert load, of counts without tokens: SGLang's modes stat, stat_approx and per_pass.")
    var loadOnly = false

    private struct Request: Encodable {
        var load_only: Bool
        var files: [String]
        var from: Record
        var model: String?
        var group: String?
        var output: String
    }

    func validate() throws {
        guard model != nil || from == .parquet else {
            throw ValidationError(
                "--model: expected the model's config.json or a card; a record of \(from.rawValue) has none")
        }
        guard !loadOnly || from == .sglang && group == nil else {
            throw ValidationError(
                "--load-only: expected --from sglang and no --group: counts of passes have no documents")
        }
    }

    func run() throws {
        try PythonPart.run(
            "importing",
            Request(
                load_only: loadOnly, files: files, from: from, model: model, group: group, output: output))
    }
}
