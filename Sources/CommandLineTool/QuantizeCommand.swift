import ArgumentParser
import Checkpoints
import Foundation
import Quantization

struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Write a model as a GGUF file of another type.",
        discussion: """
            A few million weights at a time, in some hundred megabytes of memory, on all processors. The file opens in \
            llama.cpp as well; types ending in _M keep more bits where they matter, as llama.cpp chooses.

            Examples:
              moescope quantize ~/Mixtral-8x7B-v0.1 --type Q4_K_M --output mixtral-Q4_K_M.gguf
              moescope quantize polyglot --type Q8_0 --output polyglot-Q8_0.gguf
            """)

    @Argument(help: .model)
    var model: String

    @Option(help: "\(QuantizationMix.allCases.map(\.rawValue).joined(separator: ", ")).")
    var type: QuantizationMix

    @Option(name: .shortAndLong, help: "The file to write; most programs look for a name that ends in .gguf.")
    var output: String

    @Option(
        help: ArgumentHelp(
            "Weigh errors by what the model computes with: a file of `moescope importance` or llama-imatrix.",
            valueName: "file"))
    var importance: String?

    func run() throws {
        let checkpoint = try Checkpoint.open(try ModelLocator.resolve(model))
        checkpoint.sayNotices()
        let url = URL(fileURLWithPath: output)
        guard !checkpoint.files.contains(where: { $0.standardizedFileURL.path == url.standardizedFileURL.path }) else {
            throw ValidationError("\(output) is the model itself: name another file")
        }
        let export = try GGUFExport(
            whole: checkpoint, mix: type, importance: try importance.map { try ImportanceMatrix(URL(filePath: $0)) })
        for notice in export.notices { say("tokenizer: \(notice)") }
        for remark in export.remarks { say("note: \(remark)") }
        let progress = ProgressLine("quantizing", unit: "weights")
        let size = try export.write(to: url) { done, total in progress.update(done, of: total) }
        progress.finish()
        try print(
            "\(output): \(type.rawValue), \(Inspection.bytes(size)) from \(Inspection.bytes(checkpoint.weightBytes))")
    }
}

extension QuantizationMix: ExpressibleByArgument {}
