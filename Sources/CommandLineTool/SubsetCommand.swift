import ArgumentParser
import Foundation
import Traces

struct SubsetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subset",
        abstract: "Take some documents of a trace into a trace of their own.",
        discussion: """
            Several choices are all to be met: --groups de,fr --first 100 takes the first hundred documents of both groups \
            together. Documents keep their order and every value; the manifest's "provenance" says where they come from. A \
            partial trace can be chosen from too.

            Examples:
              moescope subset traces/demo --groups de,fr --output traces/two
              moescope subset traces/demo --documents de-0001,fr-0001 --output traces/pair
              moescope subset traces/demo --documents @ids.txt --output traces/chosen
              moescope subset traces/demo --first 100 --output traces/small
            """)

    @Argument(help: "The trace's folder.")
    var trace: String

    @Option(help: ArgumentHelp("Only documents of these groups.", valueName: "list"))
    var groups: String?

    @Option(
        help: ArgumentHelp(
            "Only documents of these ids, comma-separated; @FILE reads one id a line.", valueName: "list"))
    var documents: String?

    @Option(help: ArgumentHelp("Only the first so many of the documents chosen.", valueName: "n"))
    var first: Int?

    @Option(name: .shortAndLong, help: ArgumentHelp("Folder to write the trace to.", valueName: "folder"))
    var output: String

    func validate() throws {
        guard groups != nil || documents != nil || first != nil else {
            throw ValidationError("expected --groups, --documents or --first, which say what to take")
        }
        if let first, first < 1 { throw ValidationError("--first: expected at least 1, found \(first)") }
    }

    func run() throws {
        let source = try Trace(folder: URL(filePath: trace))
        var chosen = Array(source.documents.indices)
        if let groups {
            let wanted = try Self.names(
                groups.split(separator: ",").map(String.init), among: Set(source.documents.map(\.group)), "--groups",
                "group")
            chosen = chosen.filter { wanted.contains(source.documents[$0].group) }
        }
        if let documents {
            let wanted = try Self.names(
                try Self.list(documents), among: Set(source.documents.map(\.id)), "--documents", "document")
            chosen = chosen.filter { wanted.contains(source.documents[$0].id) }
        }
        if let first { chosen = Array(chosen.prefix(first)) }
        try TraceCopy.subset(source, documents: chosen).writeShowingProgress(to: output, label: "copying")
    }

    /// "a,b", or the lines of the file after an @.
    private static func list(_ text: String) throws -> [String] {
        guard text.hasPrefix("@") else { return text.split(separator: ",").map(String.init) }
        let file = String(text.dropFirst())
        guard let data = FileManager.default.contents(atPath: file) else {
            throw ValidationError("--documents: \(file): cannot be read")
        }
        return String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
    }

    /// - Throws: a name that the trace does not have.
    private static func names(
        _ wanted: [String], among present: Set<String>, _ option: String, _ kind: String
    ) throws -> Set<String> {
        for name in wanted where !present.contains(name) {
            let known = present.count > 20 ? "" : "; it has \(present.sorted().joined(separator: ", "))"
            throw ValidationError("\(option): the trace has no \(kind) \"\(name)\"\(known)")
        }
        return Set(wanted)
    }
}
