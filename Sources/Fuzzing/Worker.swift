import ArgumentParser
import Foundation

/// Reads mutated inputs, one after the other, in a process of its own that may die of one.
struct Worker: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "work", shouldDisplay: false)

    @Argument var format: Format
    @Option var seed: UInt64
    @Option var from: Int
    @Option var to: Int
    @Option var fixtures: String
    @Option var folder: String
    /// A case of the kept corpus, in place of mutations.
    @Option var replay: String?
    @Flag var quiet = false

    #if SANITIZED
    /// A sanitizer keeps shadows of all memory, and what was freed.
    static let memoryLimit = 4 << 20
    static let addressSpace = rlim_t.max
    #else
    /// Most that may be resident, in KiB.
    static let memoryLimit = 1 << 20
    static let addressSpace: rlim_t = 16 << 30
    #endif

    func run() throws {
        var limit = rlimit(rlim_cur: Self.addressSpace, rlim_max: Self.addressSpace)
        setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
        let base = URL(filePath: folder)
        let fixtures = URL(filePath: fixtures)
        let status = try WorkerStatus(base.appending(path: "status"))
        let scratch = base.appending(path: "output")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
        let seeds = try Seeds(fixtures: fixtures, scratch: scratch).all(format)
        var folders: [String: InputFolder] = [:]
        for index in from..<to {
            // From here on, so that a fault of the mutations is known by its number too.
            (status.index, status.began) = (index, WorkerStatus.now)
            let (input, changed) =
                try replay.map { try KeptCase(URL(filePath: $0)).input(seeds) }
                ?? {
                    let mutation = Mutation(format, seeds: seeds, seed: seed, index: index)
                    return (mutation.seed, mutation.changed)
                }()
            let place = folders[input.name] ?? InputFolder(base.appending(path: "input-\(folders.count)"), input)
            folders[input.name] = place
            try place.put(changed, keepsFiles: format != .experiment)
            status.began = WorkerStatus.now
            let began = WorkerStatus.processorTime
            do {
                try Reading(fixtures: fixtures, folder: place.url, index: index).read(format, seed: input)
                status.accepted += 1
                if !quiet { print("\(index) \(input.name): read") }
            } catch {
                status.refused += 1
                let text = "\(error)"
                if !quiet { print("\(index) \(input.name): refused: \(text.prefix(600))") }
            }
            let took = WorkerStatus.processorTime - began
            if took > status.slowest { (status.slowest, status.slowestIndex) = (took, index) }
            status.peak = max(status.peak, Self.peakMemory())
            // The next worker begins with the next input.
            if status.peak > Self.memoryLimit { return }
        }
        status.isDone = true
    }

    /// KiB, of this process since it began.
    private static func peakMemory() -> Int {
        var usage = rusage()
        getrusage(0, &usage)
        return usage.ru_maxrss
    }
}

/// A folder with a seed's files, of which one input after the other replaces some.
final class InputFolder {
    let url: URL
    private let seed: Seed
    private var replaced: Set<String> = []
    private var isThere = false

    init(_ url: URL, _ seed: Seed) {
        self.url = url
        self.seed = seed
    }

    /// - Parameter keepsFiles: whether reading leaves the files as they are.
    func put(_ changed: [String: [UInt8]], keepsFiles: Bool) throws {
        if !isThere || !keepsFiles {
            try? FileManager.default.removeItem(at: url)
            for (path, bytes) in seed.files { try write(bytes, path) }
            isThere = true
            replaced = []
        }
        for path in replaced.subtracting(changed.keys) { try write(seed.files[path] ?? [], path) }
        for (path, bytes) in changed { try write(bytes, path) }
        replaced = Set(changed.keys)
    }

    private func write(_ bytes: [UInt8], _ path: String) throws {
        let file = url.appending(path: path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        unlink(file.path)
        try Data(bytes).write(to: file)
    }
}
