import Foundation

/// Runs workers over a range of inputs and notes what each one died of, was killed for, or took.
final class Supervisor {
    struct Failure: Codable {
        var index: Int
        /// "signal 11", "hang", "memory 1834 MiB".
        var kind: String
        var lastWords: String
    }

    /// What is known of one format: written down, so that a run goes on where it was stopped.
    struct Outcome: Codable {
        var format: String
        var seed: UInt64
        var next = 0
        var accepted = 0
        var refused = 0
        var failures: [Failure] = []
        /// Seconds, and of which input.
        var slowest = 0.0
        var slowestIndex = 0
        /// MiB
        var peak = 0
        var seconds = 0.0
    }

    /// Seconds of processor time that one input may take, and seconds in all, for one that waits for ever.
    #if SANITIZED
    static let timeLimit = 25.0
    #else
    static let timeLimit = 5.0
    #endif
    private static let patience = 60.0

    let fixtures: URL
    let folder: URL

    init(fixtures: URL, folder: URL) {
        self.fixtures = fixtures
        self.folder = folder
    }

    func run(
        _ format: Format, seed: UInt64, from: Int, to: Int, replay: URL? = nil, outcome: inout Outcome,
        progress: (Outcome) -> Void
    ) throws {
        // In memory where that can be: files are written and taken away a thousand times a second.
        let shared = URL(filePath: "/dev/shm")
        let place = access(shared.path, W_OK) == 0 ? shared : folder
        let base = place.appending(path: "moescope-fuzz-\(format.rawValue)-\(getpid())")
        defer { try? FileManager.default.removeItem(at: base) }
        var next = from
        let started = WorkerStatus.now
        let before = outcome.seconds
        while next < to {
            try? FileManager.default.removeItem(at: base)
            try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
            let status = try WorkerStatus(base.appending(path: "status"))
            defer { status.end() }
            let counted = outcome
            let ended = try work(format, seed: seed, from: next, to: to, replay: replay, base: base, status: status) {
                progress(
                    Self.adding(
                        status, to: counted, next: status.index,
                        seconds: Double(WorkerStatus.now - started) / 1e9 + before))
            }
            outcome = Self.adding(
                status, to: counted, next: status.isDone ? to : status.index + 1,
                seconds: Double(WorkerStatus.now - started) / 1e9 + before)
            if !status.isDone {
                guard status.began != 0 else { throw FuzzError("the worker did not begin: \(ended.lastWords)") }
                let kind = ended.kind ?? "memory \(status.peak >> 10) MiB"
                outcome.failures.append(Failure(index: status.index, kind: kind, lastWords: ended.lastWords))
            }
            next = outcome.next
            progress(outcome)
        }
    }

    private static func adding(_ status: WorkerStatus, to outcome: Outcome, next: Int, seconds: Double) -> Outcome {
        var outcome = outcome
        outcome.next = next
        outcome.accepted += status.accepted
        outcome.refused += status.refused
        let slowest = Double(status.slowest) / 1e9
        if slowest > outcome.slowest { (outcome.slowest, outcome.slowestIndex) = (slowest, status.slowestIndex) }
        outcome.peak = max(outcome.peak, status.peak >> 10)
        outcome.seconds = seconds
        return outcome
    }

    /// One worker, from its start to its end.
    private func work(
        _ format: Format, seed: UInt64, from: Int, to: Int, replay: URL?, base: URL, status: WorkerStatus,
        tick: () -> Void
    ) throws -> (kind: String?, lastWords: String) {
        let words = base.appending(path: "words")
        var arguments = [
            "moescope-fuzz", "work", format.rawValue, "--seed", "\(seed)", "--from", "\(from)", "--to", "\(to)",
            "--fixtures", fixtures.path, "--folder", base.path, "--quiet",
        ]
        if let replay { arguments += ["--replay", replay.path] }
        let process = try Self.spawn(arguments, words: words)
        var kind: String?
        var code: Int32 = 0
        var ticks = 0
        var (seen, before) = (-1, 0)
        while waitpid(process, &code, WNOHANG) == 0 {
            usleep(10_000)
            ticks += 1
            let now = WorkerStatus.now
            if ticks % 200 == 0 { tick() }
            let worked = WorkerStatus.processorTime(of: process)
            if status.index != seen { (seen, before) = (status.index, worked) }
            if status.began != 0,
                Double(worked - before) / 1e9 > Self.timeLimit || Double(now - status.began) / 1e9 > Self.patience
            {
                kind = "hang"
                kill(process, SIGKILL)
            } else if Self.residentKiB(process) > 2 * Worker.memoryLimit {
                kind = "memory over \(2 * Worker.memoryLimit >> 10) MiB"
                kill(process, SIGKILL)
            }
        }
        if kind == nil, code & 0x7F != 0 { kind = "signal \(code & 0x7F)" }
        if kind == nil, code >> 8 & 0xFF != 0 { kind = "exit \(code >> 8 & 0xFF)" }
        let said = (try? String(decoding: Data(contentsOf: words), as: UTF8.self)) ?? ""
        return (kind, String(said.suffix(2000)))
    }

    private static func spawn(_ arguments: [String], words: URL) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, words.path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        var environment = ProcessInfo.processInfo.environment
        // A trap ends the process at once.
        environment["SWIFT_BACKTRACE"] = "enable=no"
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        var pid: pid_t = 0
        let failed = Self.withStrings(arguments) { arguments in
            Self.withStrings(environment.map { "\($0)=\($1)" }) {
                posix_spawn(&pid, program, &actions, nil, arguments, $0)
            }
        }
        guard failed == 0 else { throw FuzzError("\(program): \(String(cString: strerror(failed)))") }
        return pid
    }

    private static func withStrings<Result>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    }

    private static func residentKiB(_ process: pid_t) -> Int {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8) else { return 0 }
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4
    }
}
