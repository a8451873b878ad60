import ArgumentParser
import Checkpoints
import Foundation

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a checkpoint is: architecture, parameters, types, files, tokenizer.",
        discussion: "Reads headers only, so it is quick on any size. What looks wrong is listed last.")

    @Argument(help: "A Hugging Face folder, a .gguf file, or polyglot, the built-in model.")
    var model: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let inspection = Inspection(try Checkpoint.open(try ModelLocator.resolve(model)))
        if json {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(inspection), as: UTF8.self))
        } else {
            print(inspection.screen)
        }
    }
}
