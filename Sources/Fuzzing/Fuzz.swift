import ArgumentParser
import Foundation

/// Mutates sound inputs and reads them as the commands do: nothing may die, hang or fill memory.
@main
struct Fuzz: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "moescope-fuzz", abstract: "Reads mutated files and counts what they do.",
        subcommands: subcommands, defaultSubcommand: Mutate.self)

    private static var subcommands: [any ParsableCommand.Type] {
        #if SANITIZED
        [Mutate.self, Make.self, Replay.self, Worker.self, Guide.self]
        #else
        [Mutate.self, Make.self, Replay.self, Worker.self]
        #endif
    }
}

struct Places: ParsableArguments {
    @Option(help: "The repository's Tests/Fixtures.")
    var fixtures = "Tests/Fixtures"

    @Option(help: "Where results, and inputs that did harm, are put.")
    var output = ".cache/fuzz"

    var fixturesFolder: URL { URL(filePath: fixtures).absoluteURL }
    var outputFolder: URL { URL(filePath: output).absoluteURL }
}

/// Reads mutations of every format.
struct Mutate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", abstract: "Read mutations of each format.")

    @Argument(help: "Formats; default: all.")
    var formats: [Format] = []

    @Option(help: "Mutations of each format.")
    var count = 100_000

    @Option(help: "Decides the mutations.")
    var seed: UInt64 = 1

    @OptionGroup var places: Places

    func run() throws {
        let folder = places.outputFolder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let supervisor = Supervisor(fixtures: places.fixturesFolder, folder: folder)
        var outcomes: [Supervisor.Outcome] = []
        for format in formats.isEmpty ? Format.allCases : formats {
            let file = folder.appending(path: "\(format.rawValue)-seed-\(seed).json")
            var outcome =
                (try? JSONDecoder().decode(Supervisor.Outcome.self, from: Data(contentsOf: file)))
                ?? Supervisor.Outcome(format: format.rawValue, seed: seed)
            try supervisor.run(format, seed: seed, from: outcome.next, to: count, outcome: &outcome) { outcome in
                Self.say(
                    "\(format.rawValue): \(outcome.next) of \(count), \(outcome.accepted) read, \(outcome.refused) refused, "
                        + "\(outcome.failures.count) failures, slowest \(outcome.slowest.formatted(3)) s, "
                        + "\(outcome.peak) MiB, \(Int(outcome.seconds)) s")
                try? JSONEncoder().encode(outcome).write(to: file, options: .atomic)
            }
            outcomes.append(outcome)
            try keep(outcome, format, supervisor)
        }
        Self.printTable(outcomes)
        if outcomes.contains(where: { !$0.failures.isEmpty }) { throw ExitCode.failure }
    }

    /// Puts the inputs that did harm beside the results.
    private func keep(_ outcome: Supervisor.Outcome, _ format: Format, _ supervisor: Supervisor) throws {
        guard !outcome.failures.isEmpty else { return }
        let seeds = try Seeds(fixtures: supervisor.fixtures, scratch: supervisor.folder).all(format)
        for failure in outcome.failures.prefix(200) {
            try KeptCase.write(
                Mutation(format, seeds: seeds, seed: seed, index: failure.index),
                to: supervisor.folder.appending(path: "failures/\(format.rawValue)/\(seed)-\(failure.index)"))
        }
    }

    private static func say(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

    static func printTable(_ outcomes: [Supervisor.Outcome]) {
        print("| format | mutations | read | refused | signals | hangs (5 s) | over 1 GiB | slowest, s | peak, MiB |")
        print("|---|---|---|---|---|---|---|---|---|")
        for outcome in outcomes {
            func count(_ kind: String) -> Int { outcome.failures.count { $0.kind.hasPrefix(kind) } }
            print(
                "| \(outcome.format) | \(outcome.next) | \(outcome.accepted) | \(outcome.refused) "
                    + "| \(count("signal") + count("exit")) | \(count("hang")) | \(count("memory")) "
                    + "| \(outcome.slowest.formatted(2)) | \(outcome.peak) |")
        }
    }
}

/// Writes one mutated input.
struct Make: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write one mutated input, with what is not mutated.")

    @Argument var format: Format
    @Option var seed: UInt64 = 1
    @Option var index: Int
    @Option(help: "The folder to write.") var to: String
    @OptionGroup var places: Places

    func run() throws {
        let target = URL(filePath: to)
        try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
        let seeds = try Seeds(fixtures: places.fixturesFolder, scratch: target).all(format)
        let mutation = Mutation(format, seeds: seeds, seed: seed, index: index)
        try InputFolder(target.appending(path: "whole"), mutation.seed).put(mutation.changed, keepsFiles: false)
        try KeptCase.write(mutation, to: target.appending(path: "kept"))
    }
}

/// Reads the inputs that once did harm.
struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read the kept inputs again; none may do harm.")

    @Argument(help: "The folder of the kept inputs: FORMAT/NAME/.") var kept = "Tests/Fixtures/hostile"
    @OptionGroup var places: Places

    func run() throws {
        let folder = places.outputFolder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let supervisor = Supervisor(fixtures: places.fixturesFolder, folder: folder)
        let root = URL(filePath: kept).absoluteURL
        var (cases, failed) = (0, 0)
        for format in Format.allCases {
            let formatFolder = root.appending(path: format.rawValue)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: formatFolder.path))?.sorted() ?? []
            for name in names {
                // Readers choose by number between ways to read; these are all of them.
                var outcome = Supervisor.Outcome(format: format.rawValue, seed: 0)
                try supervisor.run(
                    format, seed: 0, from: 0, to: 150, replay: formatFolder.appending(path: name), outcome: &outcome,
                    progress: { _ in })
                for kind in Set(outcome.failures.map(\.kind)).sorted() {
                    failed += 1
                    print("\(format.rawValue)/\(name): \(kind)")
                }
                cases += 1
            }
        }
        print("\(cases) kept inputs read, \(failed) failures")
        if failed > 0 { throw ExitCode.failure }
    }
}

extension Double {
    fileprivate func formatted(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
}
