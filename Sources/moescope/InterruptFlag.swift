import Foundation
import Synchronization

/// Whether Ctrl-C was pressed. A second Ctrl-C ends the process at once.
enum InterruptFlag {
    private static let flag = Atomic<Bool>(false)

    static var isSet: Bool { flag.load(ordering: .relaxed) }

    typealias Previous = @convention(c) (Int32) -> Void

    /// Forgets that it was.
    static func clear() { flag.store(false, ordering: .relaxed) }

    /// Starts watching; give the result to `restore`.
    static func install() -> Previous? {
        clear()
        return signal(SIGINT) { _ in
            InterruptFlag.flag.store(true, ordering: .relaxed)
            signal(SIGINT, SIG_DFL)
        }
    }

    static func restore(_ previous: Previous?) { signal(SIGINT, previous) }
}
