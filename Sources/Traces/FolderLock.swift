import FileFormats
import Foundation
import Synchronization

/// Holds a folder, or a file, for one writer: whoever asks for it meanwhile is told who has it, and changes nothing.
///
/// The lock is the kernel's (`flock` on a file in the folder, or beside the file), so that it ends with the process that holds it,
/// however that ends: `kill -9`, a crash, a power cut. Programs that the process starts do not inherit it, and a child that `fork`
/// made lets go of it at once. On NFS (Linux, version 3 with lockd and version 4) the server keeps it for all machines, and gives it
/// up when a machine's lease runs out; with `-o nolock` or `local_lock=flock` it holds on one machine only. Where a file system has
/// no locks at all, writing goes on without one.
package final class FolderLock: Sendable {
    /// In the folder for as long as someone writes there; what a killed writer leaves behind is taken over.
    package static let fileName = ".moescope.lock"

    private let path: String
    private let descriptor: Int32
    /// A child that `fork` made shares the descriptor but not the right to remove the file.
    private let process = getpid()

    /// Takes the lock of a folder or fails at once. The folder must exist.
    /// - Throws: `unwritable`: the host, process and time of the writer that has it, or what the system refuses.
    package convenience init(_ folder: URL) throws(FileError) {
        try self.init(lock: folder.appending(path: Self.fileName), of: folder)
    }

    /// Takes the lock of a single file: FILE.lock, which need not exist.
    package convenience init(file: URL) throws(FileError) {
        try self.init(lock: URL(filePath: file.path + ".lock"), of: file)
    }

    private init(lock: URL, of held: URL) throws(FileError) {
        path = lock.path
        while true {
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
            guard file >= 0 else {
                throw FileError.trace(
                    .unwritable, file: held.path,
                    problem: errno == ELOOP
                        ? "\(lock.lastPathComponent) is a link; expected a file of its own"
                        : String(cString: strerror(errno)))
            }
            if flock(file, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
                let holder = Self.holder(file)
                close(file)
                throw FileError.trace(
                    .unwritable, file: held.path, problem: "\(holder) is writing here",
                    hint: "wait until it has ended, or choose another --output")
            }
            // Whoever had the file before may have removed it between our opening and locking it.
            guard TemporaryFiles.names(file, path) else {
                close(file)
                continue
            }
            descriptor = file
            break
        }
        HeldDescriptors.add(descriptor)
        let words = "\(Self.host) \(process) \(Date.now.formatted(.iso8601))\n"
        _ = ftruncate(descriptor, 0)
        _ = words.withCString { pwrite(descriptor, $0, strlen($0), 0) }
    }

    deinit {
        // The child has closed it already.
        guard getpid() == process else { return }
        unlink(path)
        // Closing is not enough where a child is being made and still has the descriptor.
        flock(descriptor, LOCK_UN)
        HeldDescriptors.remove(descriptor)
        close(descriptor)
    }

    /// "process 4711 on node3, since 2026-11-28T05:00:00Z,"
    private static func holder(_ file: Int32) -> String {
        // Whoever has just taken the lock writes its name a moment later.
        for _ in 0..<25 {
            usleep(20_000)
            var buffer = [UInt8](repeating: 0, count: 512)
            let count = pread(file, &buffer, buffer.count, 0)
            let words = String(decoding: buffer[..<max(0, count)], as: UTF8.self).split(whereSeparator: \.isWhitespace)
            if words.count == 3 { return "process \(words[1]) on \(words[0]), since \(words[2])," }
        }
        return "another process"
    }

    private static var host: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0, name[0] != 0 else { return "this-machine" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// Descriptors of locks that this process holds: a child that `fork` made closes its copies, so that the lock does not outlive us.
private enum HeldDescriptors {
    private final class Slot: Sendable {
        let descriptor = Atomic<Int32>(-1)
    }

    /// Fixed, so that the child need neither wait nor allocate. Of more locks than these, children keep copies.
    private static let slots = (0..<64).map { _ in Slot() }

    private static let isWatching: Bool = {
        _ = slots
        return pthread_atfork(nil, nil) {
            for slot in HeldDescriptors.slots {
                let descriptor = slot.descriptor.exchange(-1, ordering: .relaxed)
                if descriptor >= 0 { close(descriptor) }
            }
        } == 0
    }()

    static func add(_ descriptor: Int32) {
        guard isWatching else { return }
        for slot in slots
        where slot.descriptor.compareExchange(expected: -1, desired: descriptor, ordering: .relaxed).exchanged {
            return
        }
    }

    static func remove(_ descriptor: Int32) {
        for slot in slots
        where slot.descriptor.compareExchange(expected: descriptor, desired: -1, ordering: .relaxed).exchanged {
            return
        }
    }
}
