import Foundation

/// Files as the system knows them: what is there under a name, and in which state.
package enum RegularFile {
    /// Opens a file for reading. A pipe or a device, which may have no end, is refused.
    /// - Returns: the descriptor, which the caller closes, and what the system says of the file.
    /// - Throws: `missing`, or `unreadable` with the system's reason.
    static func open(_ url: URL) throws(FileError) -> (descriptor: Int32, status: stat) {
        // Without waiting: a pipe would wait for a writer before it could be refused.
        let descriptor = Foundation.open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw FileError(
                errno == ENOENT ? .missing : .unreadable, file: url.path, problem: String(cString: strerror(errno)))
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw FileError(.unreadable, file: url.path, problem: "not a regular file")
        }
        return (descriptor, status)
    }

    /// Reads the next bytes.
    /// - Returns: how many; 0 at the end of the file.
    /// - Throws: `unreadable` with the system's reason.
    static func read(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, file: URL
    ) throws(FileError) -> Int {
        while true {
            let count = Foundation.read(descriptor, buffer.baseAddress, min(buffer.count, 1 << 30))
            if count >= 0 { return count }
            guard errno == EINTR else {
                throw FileError(.unreadable, file: file.path, problem: String(cString: strerror(errno)))
            }
        }
    }

    /// `S_IFREG`, `S_IFDIR`, `S_IFLNK`, … of what has this name itself, links not followed; nil where nothing has it.
    package static func kind(_ url: URL) -> UInt32? {
        var status = stat()
        return lstat(url.path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }
}

/// What tells one state of a file from another. The time of the last change of any kind (ctime) is the system's own: no program
/// can set it back.
package struct FileIdentity: Hashable, Sendable {
    private var device: UInt64
    private var inode: UInt64
    private var size: Int64
    private var modified: Time
    private var changed: Time

    private struct Time: Hashable, Sendable {
        var seconds: Int
        var nanoseconds: Int

        init(_ time: timespec) { (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec) }
    }

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = Time(status.st_mtim)
        changed = Time(status.st_ctim)
    }

    /// nil where there is no such file.
    package init?(_ url: URL) {
        var status = stat()
        guard stat(url.path, &status) == 0 else { return nil }
        self.init(status)
    }

    /// Whether the file was changed so lately that another change might leave the same time.
    var isFresh: Bool { time(nil) - max(modified.seconds, changed.seconds) < 2 }

    /// All of it, as text.
    var key: String {
        "\(device):\(inode):\(size):\(modified.seconds).\(modified.nanoseconds):\(changed.seconds).\(changed.nanoseconds)"
    }

    /// Whether the other is the same file with another size, or written at another time.
    func isRewritten(as other: FileIdentity?) -> Bool {
        guard let other, device == other.device, inode == other.inode else { return false }
        return size != other.size || modified != other.modified
    }
}
