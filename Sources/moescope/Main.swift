import CommandLineTool

@main
enum Main {
    static func main() { Moescope.main(CommandLine.arguments, python: EmbeddedPython.host) }
}
