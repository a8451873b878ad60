#if SANITIZED
import ArgumentParser
import Foundation
import Synchronization

/// Mutations that libFuzzer keeps where they reach code that none has reached before, in a build under a sanitizer.
///
/// An input is a number that chooses seed and file, and the file's bytes. Half of the changes are ours, which know headers and JSON.
struct Guide: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guide", abstract: "Read mutations that libFuzzer chooses by the code they reach.")

    @Argument(help: "The format.") var format: Format
    @Option(help: "How long.") var seconds = 60
    @OptionGroup var places: Places

    /// What the fuzzer's functions, which take no context, read.
    fileprivate struct State: @unchecked Sendable {
        var format: Format
        var seeds: [Seed]
        var folders: [InputFolder]
        var fixtures: URL
        var output: URL
        var count = 0
    }
    fileprivate static let state = Mutex<State?>(nil)

    func run() throws {
        let folder = places.outputFolder.appending(path: "guided/\(format.rawValue)")
        let corpus = folder.appending(path: "corpus")
        let scratch = folder.appending(path: "work/output")
        for url in [corpus, scratch] {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        }
        let seeds = try Seeds(fixtures: places.fixturesFolder, scratch: scratch).all(format)
        var number = 0
        for (place, seed) in seeds.enumerated() {
            for (target, path) in seed.targets.enumerated() {
                let bytes = [UInt8(place), UInt8(target)] + (seed.files[path] ?? [])
                try Data(bytes).write(to: corpus.appending(path: "seed-\(number)"))
                number += 1
            }
        }
        let state = State(
            format: format, seeds: seeds,
            folders: seeds.indices.map { InputFolder(folder.appending(path: "work/input-\($0)"), seeds[$0]) },
            fixtures: places.fixturesFolder, output: scratch)
        Self.state.withLock { $0 = state }
        let arguments = [
            "moescope-fuzz", "-max_total_time=\(seconds)", "-timeout=20", "-rss_limit_mb=4096", "-max_len=1000000",
            "-artifact_prefix=\(folder.path)/harm-", "-print_final_stats=1", "-verbosity=1", corpus.path,
        ]
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        let code = words.withUnsafeMutableBufferPointer { words in
            var count = Int32(arguments.count)
            var start: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = words.baseAddress
            return runDriver(&count, &start, readOne)
        }
        throw ExitCode(code)
    }
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

@_silgen_name("LLVMFuzzerMutate")
private func mutateBlindly(_ bytes: UnsafeMutablePointer<UInt8>, _ size: Int, _ largest: Int) -> Int

private func readOne(_ start: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    guard size >= 2, let start else { return -1 }
    let bytes = UnsafeBufferPointer(start: start, count: size)
    return Guide.state.withLock { held in
        guard var state = held else { return -1 }
        let place = Int(bytes[0]) % state.seeds.count
        let seed = state.seeds[place]
        let target = seed.targets[Int(bytes[1]) % seed.targets.count]
        let mutation = Mutation(state.format, of: seed, target: target, file: Array(bytes[2...]))
        do {
            try state.folders[place].put(mutation.changed, keepsFiles: state.format != .experiment)
            try Reading(fixtures: state.fixtures, folder: state.folders[place].url, index: state.count)
                .read(state.format, seed: seed)
        } catch {}
        state.count += 1
        held = state
        return 0
    }
}

/// libFuzzer's hook for changes that know a format.
@_cdecl("LLVMFuzzerCustomMutator")
func changeOne(_ start: UnsafeMutablePointer<UInt8>, _ size: Int, _ largest: Int, _ number: UInt32) -> Int {
    guard size > 2, number % 2 == 0 else { return mutateBlindly(start, size, largest) }
    return Guide.state.withLock { state in
        guard let state else { return size }
        let seed = state.seeds[Int(start[0]) % state.seeds.count]
        let target = seed.targets[Int(start[1]) % seed.targets.count]
        var file = Array(UnsafeBufferPointer(start: start + 2, count: size - 2))
        _ = Mutation.change(
            &file, name: target, donor: seed.files[target] ?? [],
            with: ByteMutations(seed: UInt64(number), index: 0))
        let kept = min(file.count, largest - 2)
        for i in 0..<kept { start[2 + i] = file[i] }
        return kept + 2
    }
}
#endif
