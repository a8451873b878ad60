import ArgumentParser
import Checkpoints
import FileFormats
import Foundation

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a checkpoint is: architecture, parameters, types, files, tokenizer.",
        discussion: """
            Reads headers, norms and routers only, so it is quick on any size. What looks wrong is listed last.

            Examples:
              moescope inspect ~/models/Mixtral-8x7B-v0.1
              moescope inspect mixtral.Q4_K_M.gguf --json
              moescope inspect mixtral-8x22b        (a card: what is known without the weights)
            """)

    @Argument(
        help: """
            A Hugging Face folder, a .gguf file, polyglot, a name on the Hub that is in this machine's cache, or a model known by \
            name (mixtral-8x7b, mixtral-8x22b).
            """)
    var model: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let card = FileManager.default.fileExists(atPath: model) ? nil : ModelCard.named(model)
        let inspection =
            try card.map { Inspection($0) } ?? Inspection(try Checkpoint.open(try ModelLocator.resolve(model)))
        if json {
            try print(inspection.prettyJSON(keys: .convertToSnakeCase))
        } else {
            try print(inspection.screen)
        }
    }
}
