import ArgumentParser
import FileFormats
import Foundation
import Tracing

/// Which columns of a corpus hold what, and which documents are taken.
struct CorpusOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The column or field that holds the text (default: text).", valueName: "name"))
    var textColumn: String?

    @Option(help: ArgumentHelp("The column or field that holds the group (default: group).", valueName: "name"))
    var groupColumn: String?

    @Option(help: ArgumentHelp("The column or field that holds the id (default: id).", valueName: "name"))
    var idColumn: String?

    @Option(help: ArgumentHelp("Only the first so many documents.", valueName: "n"))
    var maxDocuments: Int?

    @Option(help: ArgumentHelp("So many documents, drawn at random in one pass.", valueName: "n"))
    var sample: Int?

    @Option(help: ArgumentHelp("What the sample is drawn with (default: 0).", valueName: "n"))
    var sampleSeed: Int?

    func validate() throws {
        for (name, value) in [("--max-documents", maxDocuments), ("--sample", sample)] {
            if let value, value < 1 { throw ValidationError("\(name): expected at least 1, found \(value)") }
        }
    }

    private var isChoosing: Bool {
        textColumn != nil || groupColumn != nil || idColumn != nil || maxDocuments != nil || sample != nil
    }

    /// Files that Python reads: tables, and compressions that the engine does not know.
    private static let endings = [
        ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".csv", ".tsv", ".csv.gz", ".tsv.gz", ".bz2", ".xz", ".zst",
    ]

    /// The corpus, read by the engine, or by Python where it is of a kind or in columns that the engine does not know.
    func read(_ path: String, _ loaded: LoadedModel, maximumTokens: Int?) throws -> Corpus {
        let name = path.lowercased()
        let isTable =
            Self.endings.contains { name.hasSuffix($0) }
            || ["state.json", "dataset_dict.json"].contains {
                FileManager.default.fileExists(atPath: "\(path)/\($0)")
            }
            || Self.holdsTables(path)
        guard path != "-", isTable || isChoosing else {
            return try loaded.readCorpus(path, maximumTokens: maximumTokens)
        }
        return try readThroughPython(path, loaded, maximumTokens: maximumTokens)
    }

    private static func holdsTables(_ folder: String) -> Bool {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).contains { $0.hasSuffix(".parquet") }
    }

    private struct Request: Encodable {
        var path: String
        var text: String?
        var group: String?
        var id: String?
        var max_documents: Int?
        var sample: Int?
        var seed: Int
    }

    /// JSON lines come through a pipe, as fast as they are read: nothing is written to disk between, and one line is held.
    private func readThroughPython(_ path: String, _ loaded: LoadedModel, maximumTokens: Int?) throws -> Corpus {
        guard let host = PythonHost.current else { throw CocoaError(.featureUnsupported) }
        let request = Request(
            path: path, text: textColumn, group: groupColumn, id: idColumn, max_documents: maxDocuments,
            sample: sample, seed: sampleSeed ?? 0)
        let process = Process()
        process.executableURL = host.program
        process.arguments =
            host.prefix + [
                "-m", "moescope.corpus_files", String(decoding: try JSONEncoder().encode(request), as: UTF8.self),
            ]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let result = Result {
            try loaded.corpus("/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)", maximumTokens: maximumTokens)
        }
        if case .failure = result { process.terminate() }
        process.waitUntilExit()
        // It has said what is wrong; what the engine says of lines that did not come would only hide it.
        if process.terminationReason == .exit, process.terminationStatus != 0 { throw ExitCode.failure }
        var corpus = try result.get()
        corpus.source = URL(filePath: path).lastPathComponent
        return corpus
    }
}
