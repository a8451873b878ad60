import FileFormats
import Foundation

/// Holds a folder for one writer: whoever asks for it meanwhile is told who has it, and changes nothing.
///
/// The lock is the kernel's (`flock` on a file in the folder), so that it ends with the process that holds it, however
/// that ends. On NFS the server keeps it, for all machines, as far as its own locks go. Where a file system has no locks at all,
/// writing goes on without one.
package final class FolderLock: Sendable {
    /// In the folder for as long as someone writes there; what a killed writer leaves behind is taken over.
    package static let fileName = ".moescope.lock"

    private let path: String
    private let descriptor: Int32
    /// A child that `fork` made shares the descriptor but not the right to remove the file.
    private let process = getpid()

    /// Takes the lock or fails at once. The folder must exist.
    /// - Throws: `unwritable`: the host, process and time of the writer that has it, or what the system refuses.
    package init(_ folder: URL) throws(FileError) {
        path = folder.appending(path: Self.fileName).path
        while true {
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
            guard file >= 0 else {
                throw FileError.trace(.unwritable, file: folder.path, problem: String(cString: strerror(errno)))
            }
            if flock(file, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
                let holder = Self.holder(file)
                close(file)
                throw FileError.trace(
                    .unwritable, file: folder.path, problem: "\(holder) is writing here",
                    hint: "wait until it has ended, or choose another --output")
            }
            // Whoever had the file before may have removed it between our opening and locking it.
            guard Self.isSame(file, path) else {
                close(file)
                continue
            }
            descriptor = file
            break
        }
        let words = "\(Self.host) \(process) \(Date.now.formatted(.iso8601))\n"
        _ = ftruncate(descriptor, 0)
        _ = words.withCString { pwrite(descriptor, $0, strlen($0), 0) }
    }

    deinit {
        if getpid() == process {
            unlink(path)
            // Closing is not enough where a child still has the descriptor.
            flock(descriptor, LOCK_UN)
        }
        close(descriptor)
    }

    /// "process 4711 on node3, since 2026-11-28T05:00:00Z,"
    private static func holder(_ file: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = pread(file, &buffer, buffer.count, 0)
        let words = String(decoding: buffer[..<max(0, count)], as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 3 else { return "another process" }
        return "process \(words[1]) on \(words[0]), since \(words[2]),"
    }

    private static func isSame(_ file: Int32, _ path: String) -> Bool {
        var (opened, named) = (stat(), stat())
        return fstat(file, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino
            && opened.st_dev == named.st_dev
    }

    private static var host: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0, name[0] != 0 else { return "this-machine" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
