import ArgumentParser
import Foundation
import Traces

struct SplitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "split",
        abstract: "Cut a trace into several: one for each group, or parts of equal size.",
        discussion: """
            Every part is a trace in a folder of its own. Parts of equal size hold documents that follow one another, with about as \
            many tokens each, in folders 0001, 0002, …; `moescope merge` joins them to what they came from.

            Examples:
              moescope split traces/demo --by-group --output traces/by-language
              moescope split traces/demo --parts 4 --output traces/quarters
            """)

    @Argument(help: "The trace's folder.")
    var trace: String

    @Flag(help: "One trace for each group, in a folder of its name.")
    var byGroup = false

    @Option(help: ArgumentHelp("So many traces of about as many tokens.", valueName: "n"))
    var parts: Int?

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Folder to write the folders of the parts to.", valueName: "folder"))
    var output: String

    func validate() throws {
        guard byGroup != (parts != nil) else { throw ValidationError("expected --by-group or --parts, one of them") }
        if let parts, parts < 1 { throw ValidationError("--parts: expected at least 1, found \(parts)") }
    }

    func run() throws {
        let source = try Trace(folder: URL(filePath: trace))
        let pieces: [(name: String, documents: [Int])]
        if let parts {
            guard parts <= source.documents.count else {
                throw ValidationError(
                    "--parts: expected at most \(source.documents.count), the number of documents, found \(parts)")
            }
            let ranges = Waves.parts(source.documents.map(\.tokens), parts)
            pieces = ranges.enumerated().map { (String(format: "%04d", $0 + 1), Array($1)) }
        } else {
            let groups = Dictionary(grouping: source.documents.indices) { source.documents[$0].group }
            pieces = groups.sorted { $0.key < $1.key }.map { (Self.folderName($0.key), $0.value) }
        }
        for piece in pieces {
            try TraceCopy.subset(source, documents: piece.documents)
                .writeShowingProgress(to: "\(output)/\(piece.name)", label: piece.name)
        }
    }

    /// A group's name as one of a folder: letters, digits, `-`, `_` and `.` stay, other bytes become %41. "ungrouped" for "".
    static func folderName(_ group: String) -> String {
        guard !group.isEmpty else { return "ungrouped" }
        let kept = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-_."))
        let name = group.addingPercentEncoding(withAllowedCharacters: kept) ?? "group"
        // Names that begin with a dot are hidden, and two of them are folders already.
        return name.hasPrefix(".") ? "%2E" + name.dropFirst() : name
    }
}
