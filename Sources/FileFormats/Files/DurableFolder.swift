import Foundation

/// Folders that are still there after the machine lost its power.
package enum DurableFolder {
    /// Makes a folder and those around it that are missing, and flushes each one's entry to disk.
    /// - Throws: `unwritable` naming the folder that the system refuses.
    package static func make(_ url: URL) throws(FileError) {
        var status = stat()
        if stat(url.path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw FileError(
                    .unwritable, file: url.path,
                    problem: "the folder cannot be made: \(String(cString: strerror(EEXIST)))")
            }
            return
        }
        let parent = URL(filePath: NSString(string: url.path).deletingLastPathComponent, directoryHint: .isDirectory)
        if parent.path != url.path { try make(parent) }
        guard mkdir(url.path, 0o777) == 0 || errno == EEXIST else {
            throw FileError(
                .unwritable, file: url.path, problem: "the folder cannot be made: \(String(cString: strerror(errno)))")
        }
        flush(parent)
    }

    /// Flushes the names in a folder. Some file systems have no such thing, and need none.
    package static func flush(_ url: URL) {
        let descriptor = open(url.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
