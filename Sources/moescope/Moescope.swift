import ArgumentParser

@main
struct Moescope: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "moescope",
        abstract: "See how a mixture-of-experts language model routes.",
        subcommands: [InspectCommand.self])
}
