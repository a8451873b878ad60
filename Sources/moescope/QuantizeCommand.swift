import ArgumentParser
import Checkpoints
import Foundation
import GGUFFormat
import Quantization
import Tokenizers

struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Write a model as a GGUF file of another type.",
        discussion: """
            Tensor by tensor, in a few megabytes of memory. The file opens in llama.cpp as well.
            """)

    @Argument(help: "A Hugging Face folder, a .gguf file, or polyglot, the built-in model.")
    var model: String

    @Option(help: "\(QuantizationMix.allCases.map(\.rawValue).joined(separator: ", ")).")
    var type: QuantizationMix

    @Option(name: .shortAndLong, help: "The file to write; its name should end in .gguf.")
    var output: String

    func run() throws {
        let checkpoint = try Checkpoint.open(try ModelLocator.resolve(model))
        var tokenizer: [(key: String, value: GGUFValue)] = []
        if let file = checkpoint.tokenizerFile, file.pathExtension != "gguf" {
            guard let metadata = try TokenizerFile.ggufMetadata(file, vocabularySize: checkpoint.config.vocabularySize)
            else {
                throw ValidationError("\(file.path): GGUF has no way to hold this kind of tokenizer")
            }
            tokenizer = metadata
        }
        let url = URL(fileURLWithPath: output)
        guard !checkpoint.files.contains(where: { $0.standardizedFileURL.path == url.standardizedFileURL.path }) else {
            throw ValidationError("\(output) is the model itself: name another file")
        }
        let export = try GGUFExport(checkpoint, mix: type, tokenizer: tokenizer)
        let progress = ProgressLine("quantizing", unit: "weights")
        let size = try export.write(to: url) { done, total in progress.update(done, of: total) }
        progress.finish()
        print("\(output): \(type.rawValue), \(Inspection.bytes(size)) from \(Inspection.bytes(checkpoint.weightBytes))")
    }
}

extension QuantizationMix: ExpressibleByArgument {}
