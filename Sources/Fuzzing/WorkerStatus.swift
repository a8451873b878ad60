import Foundation

/// What a worker says of itself while it works, in a file that both sides map: it is there even where the worker dies.
struct WorkerStatus {
    private let numbers: UnsafeMutablePointer<Int>

    private static let bytes = 4096

    init(_ url: URL) throws {
        let descriptor = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0, ftruncate(descriptor, off_t(Self.bytes)) == 0,
            let start = mmap(nil, Self.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), start != MAP_FAILED
        else { throw FuzzError("\(url.path): \(String(cString: strerror(errno)))") }
        close(descriptor)
        numbers = start.bindMemory(to: Int.self, capacity: Self.bytes / MemoryLayout<Int>.size)
    }

    func end() { munmap(numbers, Self.bytes) }

    /// Number of the input that is read now.
    var index: Int {
        get { numbers[0] }
        nonmutating set { numbers[0] = newValue }
    }
    /// When it was begun, in nanoseconds; 0: not yet.
    var began: Int {
        get { numbers[1] }
        nonmutating set { numbers[1] = newValue }
    }
    var accepted: Int {
        get { numbers[2] }
        nonmutating set { numbers[2] = newValue }
    }
    var refused: Int {
        get { numbers[3] }
        nonmutating set { numbers[3] = newValue }
    }
    /// The longest that one input took, in nanoseconds of processor time.
    var slowest: Int {
        get { numbers[4] }
        nonmutating set { numbers[4] = newValue }
    }
    var slowestIndex: Int {
        get { numbers[5] }
        nonmutating set { numbers[5] = newValue }
    }
    /// The most memory that was resident, in KiB.
    var peak: Int {
        get { numbers[6] }
        nonmutating set { numbers[6] = newValue }
    }
    /// Set when all inputs are done.
    var isDone: Bool {
        get { numbers[7] != 0 }
        nonmutating set { numbers[7] = newValue ? 1 : 0 }
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
