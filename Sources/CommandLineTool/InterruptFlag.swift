import Foundation
import Synchronization

/// Whether the command was asked to stop: by Ctrl-C, by the system that shuts down (SIGTERM), or by a terminal that closed (SIGHUP).
/// What is being done is brought to a safe end first. A second such signal ends the process at once.
enum InterruptFlag {
    private static let signals = [SIGINT, SIGTERM, SIGHUP]
    /// The signal that came; 0: none.
    private static let received = Atomic<Int32>(0)

    typealias Handler = @convention(c) (Int32) -> Void
    /// What the signals did before.
    struct Previous { fileprivate var handlers: [Handler?] }

    static var isSet: Bool { received.load(ordering: .relaxed) != 0 }

    /// The exit code of a command that was stopped: 128 and the signal's number, as shells have it.
    static var exitCode: Int32 { 128 + received.load(ordering: .relaxed) }

    /// Forgets that it was.
    static func clear() { received.store(0, ordering: .relaxed) }

    /// Starts watching; give the result to `restore`. What the caller ignores (`nohup`) stays ignored.
    static func install() -> Previous {
        clear()
        return Previous(
            handlers: signals.map { number in
                let before = signal(number) { number in
                    InterruptFlag.received.store(number, ordering: .relaxed)
                    signal(number, SIG_DFL)
                }
                if unsafeBitCast(before, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) {
                    signal(number, SIG_IGN)
                }
                return before
            })
    }

    static func restore(_ previous: Previous) {
        for (number, handler) in zip(signals, previous.handlers) { signal(number, handler) }
    }

    /// Runs `body` with the signals ending the process, as they do where nothing is at stake: while a prompt waits.
    static func ending<R>(_ body: () -> R) -> R {
        let before = Previous(handlers: signals.map { signal($0, SIG_DFL) })
        for (number, handler) in zip(signals, before.handlers)
        where unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) {
            signal(number, SIG_IGN)
        }
        defer { restore(before) }
        return body()
    }
}
