import Foundation

/// What a worker says of itself while it works, in a file that both sides map: it is there even where the worker dies.
@dynamicMemberLookup
struct WorkerStatus {
    /// All zero in a new file.
    struct Numbers {
        /// Number of the input that is read now.
        var index = 0
        /// When it was begun, in nanoseconds; 0: not yet.
        var began = 0
        var accepted = 0
        var refused = 0
        /// The longest that one input took, in nanoseconds of processor time.
        var slowest = 0
        var slowestIndex = 0
        /// The most memory that was resident, in KiB.
        var peak = 0
        /// Set when all inputs are done.
        var isDone = false
    }

    private let numbers: UnsafeMutablePointer<Numbers>

    private static let bytes = 4096

    init(_ url: URL) throws {
        let descriptor = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0, ftruncate(descriptor, off_t(Self.bytes)) == 0,
            let start = mmap(nil, Self.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), start != MAP_FAILED
        else { throw FuzzError("\(url.path): \(String(cString: strerror(errno)))") }
        close(descriptor)
        numbers = start.bindMemory(to: Numbers.self, capacity: 1)
    }

    func end() { munmap(numbers, Self.bytes) }

    subscript<Value>(dynamicMember path: WritableKeyPath<Numbers, Value>) -> Value {
        get { numbers.pointee[keyPath: path] }
        nonmutating set { numbers.pointee[keyPath: path] = newValue }
    }

    static var now: Int { read(CLOCK_MONOTONIC) }

    /// Processor time of this process: what an input takes, however busy the machine is.
    static var processorTime: Int { read(CLOCK_PROCESS_CPUTIME_ID) }

    /// Processor time of another process.
    static func processorTime(of process: pid_t) -> Int {
        var clock = clockid_t()
        return clock_getcpuclockid(process, &clock) == 0 ? read(clock) : 0
    }

    private static func read(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

struct FuzzError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
